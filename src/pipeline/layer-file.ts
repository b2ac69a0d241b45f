import type { LayerProblem } from '../compression/index.js';
import type { Factors, Layer } from '../models/index.js';
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
    ...(layer.skip === null ? {} : { skip: [samples, layer.m] }),
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
      channels: layer.channels,
      taps: layer.d / layer.channels,
      activation: layer.activation,
      ...(layer.skip === null ? {} : { skip: await file.read('skip') }),
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
    tensors['p'] = { shape: [m, lowRank.rank], data: lowRank.p };
    tensors['q'] = { shape: [lowRank.rank, lowRank.q.length / lowRank.rank], data: lowRank.q };
  }
  if (sparse !== null) tensors['s'] = { shape: [m, sparse.weights.length / m], data: sparse.weights };
  await writeTensors(path, tensors, { channels: sparse?.channels ?? null });
}

export async function readFactors(path: string): Promise<Factors> {
  const file = await openTensorFile(path);
  try {
    const { channels } = file.metadata as { channels: number[] | null };
    const rank = file.shape('q')?.[0];
    return {
      lowRank: rank === undefined ? null : { rank, p: await file.read('p'), q: await file.read('q') },
      sparse: channels === null ? null : { channels, weights: await file.read('s') },
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

export async function readResponse(path: string): Promise<Float32Array> {
  const file = await openTensorFile(path);
  try {
    return await file.read('response');
  } finally {
    await file.close();
  }
}
