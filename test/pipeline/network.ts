import { join } from 'node:path';
import { writeNpz } from '../../src/datasets/index.js';
import { resolveSpec } from '../../src/jobs/resolve-spec.js';
import type { LocalOptions } from '../../src/pipeline/local.js';
import { makeInts } from '../../src/models/ir/attributes.js';
import { floatTensor, tensorDims } from '../../src/models/ir/tensors.js';
import type { ModelProto } from '../../src/models/ir/messages.js';
import { node, noise, proto, tensorOf, writeProto } from '../models/graphs.js';

export const SIDE = 8;
export const CLASSES = 5;
export const SAMPLES = 96;

/** [m, d] weights of a given rank, scaled so that feature maps keep their size. */
function lowRank(name: string, dims: number[], rank: number, seed: number) {
  const [m = 1, ...rest] = dims;
  const d = rest.reduce((a, b) => a * b, 1);
  const p = noise(m * rank, seed);
  const q = noise(rank * d, seed + 1);
  const w = new Float32Array(m * d);
  for (let i = 0; i < m; i++) {
    for (let k = 0; k < rank; k++) {
      for (let j = 0; j < d; j++)
        w[i * d + j] = (w[i * d + j] ?? 0) + ((p[i * rank + k] ?? 0) * (q[k * d + j] ?? 0) * 2) / Math.sqrt(d);
    }
  }
  return floatTensor(name, dims, w);
}

/** Convolutions whose weights have rank 4, with a residual block in the middle and a classifier at the end. */
export function plantedNetwork(): ModelProto {
  const pads = [makeInts('pads', [1, 1, 1, 1])];
  const conv = (i: number, input: string, output: string) =>
    node('Conv', [input, `w${String(i)}`, `b${String(i)}`], output, pads, `conv${String(i)}`);
  return proto({
    input: [3, SIDE, SIDE],
    output: 'logits',
    tensors: [
      lowRank('w0', [32, 3, 3, 3], 4, 11),
      lowRank('w1', [32, 32, 3, 3], 4, 21),
      lowRank('w2', [32, 32, 3, 3], 4, 31),
      tensorOf('b0', [32]),
      tensorOf('b1', [32]),
      tensorOf('b2', [32]),
      tensorOf('wf', [CLASSES, 32 * 16], 41),
      tensorOf('bf', [CLASSES]),
    ],
    nodes: [
      conv(0, 'x', 'c0'),
      node('Relu', ['c0'], 'a0'),
      conv(1, 'a0', 'c1'),
      node('Relu', ['c1'], 'a1'),
      conv(2, 'a1', 'c2'),
      node('Add', ['c2', 'a0'], 's'),
      node('Relu', ['s'], 'a2'),
      node('MaxPool', ['a2'], 'p', [makeInts('kernel_shape', [2, 2]), makeInts('strides', [2, 2])]),
      node('Flatten', ['p'], 'f'),
      node('Gemm', ['f', 'wf', 'bf'], 'logits', [{ name: 'transB', type: 2, i: 1 }], 'classifier'),
    ],
  });
}

/** The same with weights of full rank: whatever is left out is lost, and no two plans lose the same. */
export function fullRankNetwork(): ModelProto {
  const model = plantedNetwork();
  if (!model.graph) throw new Error('the planted network has no graph');
  model.graph.initializer = model.graph.initializer.map((tensor) => {
    if (!tensor.name.startsWith('w') || tensor.name === 'wf') return tensor;
    const dims = tensorDims(tensor);
    const values = noise(
      dims.reduce((a, b) => a * b, 1),
      51,
    );
    return floatTensor(
      tensor.name,
      dims,
      values.map((value) => value / 3),
    );
  });
  return model;
}

export interface Files {
  model: string;
  calibration: string;
  evaluation: string;
}

export async function writeFiles(directory: string, model = plantedNetwork()): Promise<Files> {
  const calibration = join(directory, 'calibration.npz');
  const evaluation = join(directory, 'evaluation.npz');
  const images = (count: number, seed: number) => ({
    dims: [count, 3, SIDE, SIDE],
    data: noise(count * 3 * SIDE * SIDE, seed).map((v) => 2 * v),
  });
  await writeNpz(calibration, { x: images(SAMPLES, 7) });
  const y = BigInt64Array.from({ length: 64 }, (_, i) => BigInt(i % CLASSES));
  await writeNpz(evaluation, { x: images(64, 8), y: { dims: [64], data: y } });
  return { model: writeProto(model, directory), calibration, evaluation };
}

export const LIMITS = {
  maxArchiveEntries: 100,
  maxArchiveRatio: 100,
  maxModelBytes: 2 ** 28,
  maxGraphNodes: 1000,
  maxTensorElements: 2 ** 24,
  maxCalibrationSamples: 10_000,
  layerMemoryBytes: 2 ** 26,
};

export function localOptions(files: Files, output: string, given: Record<string, unknown> = {}): LocalOptions {
  const source = { upload: 'upl_local' };
  return {
    ...files,
    output,
    spec: resolveSpec({
      model: source,
      calibration: source,
      evaluation: source,
      target: { parameter_ratio: 3 },
      benchmark: { batch_sizes: [1, 4] },
      // Few samples are gone over many times.
      effort: 'quick',
      ...given,
    }),
    engine: 'onnxruntime',
    threads: 1,
    limits: LIMITS,
    signal: new AbortController().signal,
  };
}
