/** In what form a network comes and goes. */
export interface ModelFormat {
  /** For a reader. */
  meaning: string;
  /** What its files are called behind the dot. */
  extension: string;
}

/** The formats there are; how their files are read and written is in models/NAME, listed in models/files.ts. */
export const MODEL_FORMATS = {
  onnx: { meaning: 'one .onnx file', extension: 'onnx' },
  tfjs_layers: { meaning: 'a zip of a TensorFlow.js layers-model: model.json and its shards', extension: 'zip' },
  tfjs_graph: { meaning: 'a zip of a TensorFlow.js graph-model: model.json and its shards', extension: 'zip' },
  onnx_zip: { meaning: 'a zip of an .onnx file and its external data', extension: 'zip' },
} as const satisfies Record<string, ModelFormat>;

export type ModelFormatName = keyof typeof MODEL_FORMATS;

export const modelFormats = Object.keys(MODEL_FORMATS) as ModelFormatName[];
