/** ONNX Runtime on the arrays of an .npz: outputs of a network, and how long it takes beside another. */
import { Tensor } from 'onnxruntime-node';
import { loadRuntime, openSession, type Session } from '../../src/runtime/session.js';
import { median } from '../support/numbers.js';
import type { NpzArray } from './npz.js';

/** In the order of the network's outputs. */
export type Outputs = { name: string; shape: number[]; data: Float32Array }[];

type Data = ReadonlyMap<string, NpzArray>;

/** Samples of a run for the outputs. */
const BATCH = 8;
/** Of the speed: sessions are opened anew for every block. */
const BLOCKS = 5;
const BLOCK_SECONDS = 0.8;
const FEWEST_ROUNDS = 3;
const MOST_ROUNDS = 100;

async function open(model: string, threads: number): Promise<Session> {
  // Threads that go on spinning after a run take the cores from the network that runs next.
  const settings = { intraOpNumThreads: threads, extra: { session: { force_spinning_stop: '1' } } };
  return openSession(await loadRuntime('the bench'), model, settings);
}

const fixedBatchOf = ({ inputMetadata: [first] }: Session): number | null => {
  const size = first?.isTensor === true ? first.shape[0] : undefined;
  return typeof size === 'number' && size > 0 ? size : null;
};

/** The array of an input: under its name, or `x`, or the only one there is. */
function arrayOf(data: Data, input: string): NpzArray {
  const found = data.get(input) ?? data.get('x') ?? (data.size === 1 ? [...data.values()][0] : undefined);
  if (found === undefined) throw new Error(`the evaluation data has no array for the input ${input}`);
  return found;
}

const countOf = (session: Session, data: Data): number =>
  Math.min(...session.inputNames.map((name) => arrayOf(data, name).shape[0] ?? 0));

/** Samples from `begin`, those of the beginning again where there are too few. */
function feedsOf(session: Session, data: Data, begin: number, count: number): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  for (const input of session.inputMetadata) {
    if (!input.isTensor) throw new Error(`${input.name} is not a tensor`);
    const { shape, data: values } = arrayOf(data, input.name);
    const samples = shape[0] ?? 0;
    const width = values.length / samples;
    const part = new Float32Array(count * width);
    for (let i = 0; i < count; i++) {
      const row = (begin + i) % samples;
      part.set(values.subarray(row * width, (row + 1) * width), i * width);
    }
    feeds[input.name] = tensorOf(input.type, part, [count, ...shape.slice(1)]);
  }
  return feeds;
}

function tensorOf(type: string, values: Float32Array, dims: number[]): Tensor {
  switch (type) {
    case 'float32':
      return new Tensor('float32', values, dims);
    case 'float64':
      return new Tensor('float64', Float64Array.from(values), dims);
    case 'uint8':
      return new Tensor('uint8', Uint8Array.from(values), dims);
    case 'int32':
      return new Tensor('int32', Int32Array.from(values), dims);
    case 'int64':
      return new Tensor(
        'int64',
        BigInt64Array.from(values, (value) => BigInt(value)),
        dims,
      );
    case 'float16':
      return new Tensor('float16', Uint16Array.from(values, toHalf), dims);
    default:
      throw new Error(`inputs of type ${type} cannot be made`);
  }
}

const word = new DataView(new ArrayBuffer(4));

/** The bits of the nearest float16, to even; larger values are infinite. */
function toHalf(value: number): number {
  word.setFloat32(0, value);
  const bits = word.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 1e-9)));
  const scaled = size / 2 ** (exponent - 10);
  const rounded = Math.round(scaled) - (scaled % 1 === 0.5 && Math.floor(scaled) % 2 === 0 ? 1 : 0);
  return sign | (rounded < 1024 ? rounded : ((exponent + 15) << 10) + rounded - 1024);
}

/** All outputs of a network on all samples. */
export async function outputsOf(model: string, data: Data, threads: number): Promise<Outputs> {
  const session = await open(model, threads);
  try {
    const samples = countOf(session, data);
    const batch = fixedBatchOf(session) ?? Math.min(BATCH, samples);
    const parts = session.outputNames.map((): Float32Array[] => []);
    const shapes: number[][] = [];
    for (let begin = 0; begin < samples; begin += batch) {
      const wanted = Math.min(batch, samples - begin);
      const count = fixedBatchOf(session) ?? wanted;
      const results = await session.run(feedsOf(session, data, begin, count));
      for (const [i, name] of session.outputNames.entries()) {
        const value = results[name];
        if (value === undefined) continue;
        const all = Float32Array.from(value.data as Float32Array, Number);
        shapes[i] = [samples, ...value.dims.slice(1)];
        parts[i]?.push(all.subarray(0, (all.length / count) * wanted));
      }
    }
    return session.outputNames.map((name, i) => ({ name, shape: shapes[i] ?? [], data: joined(parts[i] ?? []) }));
  } finally {
    await session.release();
  }
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export interface Speed {
  batch: number;
  before: number;
  after: number;
  /** Median over the blocks of the ratio of medians. */
  ratio: number;
  /** Smallest and largest block. */
  range: [number, number];
}

/** Milliseconds of both networks, run in turn. A network of a fixed batch size is timed at that one. */
export async function speedsOf(
  [original, compressed]: [string, string],
  data: Data,
  { threads, batches }: { threads: number; batches: readonly number[] },
): Promise<Speed[]> {
  const probe = await open(original, threads);
  const fixed = fixedBatchOf(probe);
  await probe.release();
  const speeds: Speed[] = [];
  for (const batch of fixed === null ? batches : [fixed]) {
    const blocks: { before: number; after: number }[] = [];
    for (let block = 0; block < BLOCKS; block++) {
      const sessions = [await open(original, threads), await open(compressed, threads)];
      try {
        const times = await timeInTurn(sessions, data, batch);
        blocks.push({ before: median(times[0] ?? []), after: median(times[1] ?? []) });
      } finally {
        for (const session of sessions) await session.release();
      }
    }
    const ratios = blocks.map(({ before, after }) => before / after);
    speeds.push({
      batch,
      before: median(blocks.map(({ before }) => before)),
      after: median(blocks.map(({ after }) => after)),
      ratio: median(ratios),
      range: [Math.min(...ratios), Math.max(...ratios)],
    });
  }
  return speeds;
}

/** Every second round goes backwards. */
async function timeInTurn(sessions: readonly Session[], data: Data, batch: number): Promise<number[][]> {
  const timed = sessions.map((session) => ({
    session,
    feeds: feedsOf(session, data, 0, batch),
    times: [] as number[],
  }));
  for (const { session, feeds } of timed) for (let i = 0; i < 2; i++) await session.run(feeds);
  const until = performance.now() + 1000 * BLOCK_SECONDS;
  const order = [...timed];
  for (let round = 0; round < MOST_ROUNDS && (round < FEWEST_ROUNDS || performance.now() < until); round++) {
    for (const { session, feeds, times } of order) {
      const begun = performance.now();
      await session.run(feeds);
      times.push(performance.now() - begun);
    }
    order.reverse();
  }
  return timed.map(({ times }) => times);
}
