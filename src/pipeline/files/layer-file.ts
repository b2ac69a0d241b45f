import type { LayerProblem } from '../../compression/index.js';
import {
  isAddedTo,
  PATTERN,
  patchOf,
  PLAIN_PATTERN,
  type Factors,
  type Layer,
  type LowRankShape,
  type SparsePart,
  type SparsePattern,
} from '../../models/index.js';
import type { FinishedTask } from '../../jobs/tasks.js';
import { optionalFileOf } from './finished.js';
import { files } from './step-files.js';
import type { StepContext } from '../step.js';
import { openTensorFile, TensorFileWriter, writeTensors } from './tensor-file.js';

/** Opens the file for the inputs of one layer; rows arrive batch by batch. */
export async function createSamples(
  path: string,
  layer: Layer,
  weights: { weights: Float32Array; bias: Float32Array },
  samples: number,
): Promise<TensorFileWriter> {
  const shapes: Record<string, number[]> = {
    weights: [layer.m, layer.d],
    bias: [layer.m],
    inputs: [samples, layer.d],
    ...(isAddedTo(layer) ? { skip: [samples, layer.m] } : {}),
  };
  const writer = await TensorFileWriter.create(path, shapes, { layer });
  await writer.write('weights', weights.weights);
  await writer.write('bias', weights.bias);
  return writer;
}

export async function readProblem(path: string): Promise<{ layer: Layer; problem: LayerProblem }> {
  const file = await openTensorFile(path);
  try {
    const { layer } = file.metadata as { layer: Layer };
    const problem: LayerProblem = {
      weights: await file.read('weights'),
      bias: await file.read('bias'),
      inputs: await file.read('inputs'),
      ...patchOf(layer),
      activation: layer.activation,
      ...(isAddedTo(layer) ? { skip: await file.read('skip') } : {}),
    };
    return { layer, problem };
  } finally {
    await file.close();
  }
}

export async function writeFactors(path: string, { lowRank, sparse, bias }: Factors): Promise<void> {
  const m = bias.length;
  const tensors: Record<string, { shape: number[]; data: Float32Array }> = { bias: { shape: [m], data: bias } };
  if (lowRank !== null) {
    const { rank, inner, basis, q, p } = lowRank;
    tensors['p'] = { shape: [m, p.length / m], data: p };
    tensors['q'] = { shape: [rank, q.length / rank], data: q };
    if (basis !== null) tensors['basis'] = { shape: [inner, basis.length / inner], data: basis };
  }
  if (sparse !== null) {
    const rows = PATTERN[sparse.pattern].stores === 'rows' ? sparse.kept.length : m;
    tensors['s'] = { shape: [rows, sparse.weights.length / rows], data: sparse.weights };
  }
  await writeTensors(path, tensors, {
    sparse: sparse === null ? null : { pattern: sparse.pattern, kept: sparse.kept },
    shape: lowRank?.shape ?? null,
  });
}

interface StoredFactors {
  shape: LowRankShape | null;
  sparse?: { pattern: SparsePattern; kept: number[] } | null;
  /** What files of earlier versions have in its place. */
  channels?: number[] | null;
}

function storedPattern({ sparse, channels }: Omit<StoredFactors, 'shape'>): Omit<SparsePart, 'weights'> | null {
  if (sparse !== undefined) return sparse;
  return channels == null ? null : { pattern: PLAIN_PATTERN, kept: channels };
}

export async function readFactors(path: string): Promise<Factors> {
  const file = await openTensorFile(path);
  try {
    const { shape, ...metadata } = file.metadata as StoredFactors;
    const sparse = storedPattern(metadata);
    const rank = file.shape('q')?.[0];
    const inner = file.shape('basis')?.[0] ?? 0;
    const basis = inner === 0 ? null : await file.read('basis');
    return {
      lowRank:
        rank === undefined || shape === null
          ? null
          : { shape, rank, inner, basis, q: await file.read('q'), p: await file.read('p') },
      sparse: sparse === null ? null : { ...sparse, weights: await file.read('s') },
      bias: await file.read('bias'),
    };
  } finally {
    await file.close();
  }
}

/** [samples, m] */
export async function writeResponse(path: string, response: Float32Array, samples: number, m: number): Promise<void> {
  await writeTensors(path, { response: { shape: [samples, m], data: response } });
}

/** [m, m] */
export async function writeMetric(path: string, metric: Float32Array): Promise<void> {
  const m = Math.sqrt(metric.length);
  await writeTensors(path, { metric: { shape: [m, m], data: metric } });
}

/** Of a layer, as the inspection left it: a field of a problem, or none. */
export async function readMetric(
  context: Pick<StepContext, 'path'>,
  inspected: FinishedTask,
  index: number,
): Promise<{ metric?: Float32Array }> {
  const stored = optionalFileOf(inspected, files.metric(index));
  if (stored === null) return {};
  const file = await openTensorFile(context.path(stored.key));
  try {
    return { metric: await file.read('metric') };
  } finally {
    await file.close();
  }
}

export async function readResponse(path: string): Promise<Float32Array> {
  const file = await openTensorFile(path);
  try {
    return await file.read('response');
  } finally {
    await file.close();
  }
}
