import type { WeightCodingName } from '../coding/weight-codings.js';

/** In what form a network comes and goes. */
export interface ModelFormat {
  /** For a reader. */
  meaning: string;
  /** What its files are called behind the dot. */
  extension: string;
  /** TensorFlow.js runs it. */
  tensorflow?: boolean;
  /** Channels are picked by a convolution, which counts. */
  picksByConvolution?: boolean;
  /** Whether what is written and read again has the same names of tensors inside. */
  keepsTensors: boolean;
  /** How its files can keep weights; absent: in every way there is. */
  codings?: readonly WeightCodingName[];
}

const TFJS_CODINGS = ['float32', 'float16', 'uint8'] as const;

/** The formats there are; how their files are read and written is in models/NAME, listed in models/files.ts. */
export const MODEL_FORMATS = {
  onnx: { meaning: 'one .onnx file', extension: 'onnx', keepsTensors: true },
  tfjs_layers: {
    meaning: 'a zip of a TensorFlow.js layers-model: model.json and its shards',
    ...{ extension: 'zip', keepsTensors: false, picksByConvolution: true, tensorflow: true, codings: TFJS_CODINGS },
  },
  tfjs_graph: {
    meaning: 'a zip of a TensorFlow.js graph-model: model.json and its shards',
    ...{ extension: 'zip', keepsTensors: false, tensorflow: true, codings: TFJS_CODINGS },
  },
  onnx_zip: { meaning: 'a zip of an .onnx file and its external data', extension: 'zip', keepsTensors: true },
} as const satisfies Record<string, ModelFormat>;

export type ModelFormatName = keyof typeof MODEL_FORMATS;

export const modelFormats = Object.keys(MODEL_FORMATS) as ModelFormatName[];

export const formatOf = (name: ModelFormatName): ModelFormat => MODEL_FORMATS[name];
