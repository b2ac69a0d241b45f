import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadModel, type FloatTensor, type ModelLimits, type Model } from '../../src/models/index.js';
import { makeNode } from '../../src/models/ir/attributes.js';
import { encodeModel } from '../../src/models/ir/codec.js';
import {
  DataType,
  type AttributeProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from '../../src/models/ir/messages.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import { scratch } from '../support/scratch.js';

export { scratch };

export const LIMITS: ModelLimits = {
  maxArchiveEntries: 100,
  maxArchiveRatio: 100,
  maxModelBytes: 2 ** 28,
  maxGraphNodes: 1000,
  maxTensorElements: 2 ** 24,
};

/** Numbers in [-1, 1) that depend on the seed only. */
export function noise(length: number, seed = 1): Float32Array {
  let state = seed * 2654435761;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 3266489917) | 0;
    return ((state >>> 8) / 2 ** 24) * 2 - 1;
  });
}

export const tensorOf = (name: string, dims: number[], seed = name.length + (name.charCodeAt(0) || 0)): TensorProto =>
  floatTensor(
    name,
    dims,
    noise(
      dims.reduce((a, b) => a * b, 1),
      seed,
    ).map((v) => v * 0.5),
  );

let counter = 0;
export const node = (
  op: string,
  input: string[],
  output: string,
  attribute: AttributeProto[] = [],
  name = `${op}_${String(counter++)}`,
): NodeProto => makeNode(op, name, input, [output], attribute);

export interface Sketch {
  nodes: NodeProto[];
  tensors: TensorProto[];
  /** Shape of the input `x` without the batch. */
  input: number[];
  output?: string;
  opset?: number;
  inputType?: number;
  batch?: number;
  /** Further inputs. */
  others?: Record<string, { input: number[]; type: number }>;
}

/** A model with the input `x` and the output `y` (or `output`). */
export function proto({
  nodes,
  tensors,
  input,
  output = 'y',
  opset = 17,
  inputType = DataType.FLOAT,
  batch,
  others = {},
}: Sketch): ModelProto {
  const first = batch === undefined ? { dimParam: 'batch' } : { dimValue: batch };
  return {
    irVersion: 8,
    opsetImport: [{ domain: '', version: opset }],
    producerName: 'test',
    graph: {
      name: 'graph',
      node: nodes,
      initializer: tensors,
      input: Object.entries({ x: { input, type: inputType }, ...others }).map(([name, { input: sample, type }]) => ({
        name,
        type: { tensorType: { elemType: type, shape: { dim: [first, ...sample.map((d) => ({ dimValue: d }))] } } },
      })),
      output: [{ name: output, type: { tensorType: { elemType: DataType.FLOAT } } }],
      valueInfo: [],
    },
  };
}

export function writeProto(model: ModelProto, directory = scratch()): string {
  const path = join(directory, 'model.onnx');
  writeFileSync(path, encodeModel(model));
  return path;
}

/** Through a file, as every model comes in. */
export async function build(sketch: Sketch): Promise<Model> {
  const directory = scratch();
  return loadModel(writeProto(proto(sketch), directory), { directory, limits: LIMITS });
}

export function batchOf(sample: number[], count = 3, seed = 5): FloatTensor {
  const dims = [count, ...sample];
  return {
    dims,
    data: noise(
      dims.reduce((a, b) => a * b, 1),
      seed,
    ).map((v) => v * 2),
  };
}
