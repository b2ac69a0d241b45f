import { extract, Runner, type FloatTensor, type Model, type Tensor, type Running } from '../../models/index.js';
import type { ActivationStore } from '../files/activation-store.js';
import type { Network } from './network.js';

/** Ranges of images [from, images), in order. */
export function batches(images: number, batch: number, from = 0): { begin: number; end: number; index: number }[] {
  const ranges = [];
  for (let begin = from, index = 0; begin < images; begin += batch, index++) {
    ranges.push({ begin, end: Math.min(begin + batch, images), index });
  }
  return ranges;
}

export interface PartRun extends Running {
  store: ActivationStore;
  to: string;
  images: number;
  visit: (value: FloatTensor, range: { begin: number; end: number; index: number }) => Promise<void>;
  signal: AbortSignal;
  from?: Iterable<string>;
}

/**
 * Runs the part of `model` that computes tensor `to` from what the store holds (and the network's inputs), over the
 * first `images` calibration images, and hands over every batch.
 */
export async function runPart(
  network: Pick<Network, 'calibration' | 'batch'>,
  model: Model,
  { store, to, images, threads, device, visit, signal, from = store.names() }: PartRun,
): Promise<void> {
  const part = extract(model, from, [to]);
  const direct = part.inputs.includes(to);
  const runner = direct ? null : await Runner.open(part.model, { threads, device });
  try {
    for (const range of batches(images, network.batch)) {
      signal.throwIfAborted();
      const stored = part.inputs.filter((name) => store.has(name));
      const given = stored.length < part.inputs.length ? await network.calibration.batch(range.begin, range.end) : [];
      const feeds = new Map<string, Tensor>(given);
      for (const name of stored) feeds.set(name, await store.read(name, range.index));
      const value = runner === null ? feeds.get(to) : (await runner.feed(feeds)).get(to);
      if (value === undefined) throw new RangeError(`${to} was not computed`);
      await visit({ dims: value.dims, data: floats(value) }, range);
    }
  } finally {
    await runner?.release();
  }
}

/** Feature maps are float32 in all networks that can be compressed; raw input pixels may be integers. */
export function floats({ data }: Tensor): Float32Array {
  if (data instanceof Float32Array) return data;
  const isBig = data instanceof BigInt64Array || data instanceof BigUint64Array;
  return isBig ? Float32Array.from(data, Number) : new Float32Array(data);
}
