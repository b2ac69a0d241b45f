import type { Candidate } from '../compression/index.js';
import { cholesky, lowerSolveIdentity } from '../compression/linalg/cholesky.js';
import { multiply64, transpose64 } from '../compression/linalg/dense.js';
import {
  extract,
  isDense,
  rewrite,
  Runner,
  type Factors,
  type Layer,
  type LayerSize,
  type OnnxModel,
  type Tensor,
} from '../models/index.js';
import { dummySparse } from './dummy-sparse.js';
import { measureInTurn, quantile } from './latency.js';

/**
 * Ranks that are timed. The runtime computes blocks of 8 or 16 channels, so that a rank takes about the time of the next
 * timed one above it where that is near; between distant ones the time is interpolated.
 */
const TIMED_RANKS = [8, 16, 32, 48, 64, 96, 128, 192, 256, 384];
const NEAR = 16;
/** Of the pairs of widths of a `tucker` part few are timed, and the others follow from a bilinear fit. */
const TIMED_PAIRS = [16, 32, 64];
const RUNS = { warmup: 1, minRuns: 5, maxRuns: 25, budgetSeconds: 0.8, fewestRuns: 3 };

/** A layer's factors of a given size; the values do not matter for its speed, but denormal numbers would. */
export function dummyFactors(layer: Layer, { shape, rank, inner, groups, pattern }: LayerSize): Factors {
  const { m, d, channels, kernel } = layer;
  const taps = d / channels;
  const [kh = 1, kw = 1] = kernel;
  const filled = (length: number) => new Float32Array(length).fill(0.01);
  const part = { shape, rank, inner, basis: shape === 'tucker' ? filled(inner * channels) : null };
  const q = shape === 'spatial' ? channels * kh : (shape === 'tucker' ? inner : channels) * taps;
  return {
    lowRank: rank === 0 ? null : { ...part, q: filled(rank * q), p: filled(m * rank * (shape === 'spatial' ? kw : 1)) },
    sparse: groups === 0 ? null : dummySparse(layer, pattern ?? 'channel', groups),
    bias: filled(m),
  };
}

/**
 * Milliseconds of every candidate of a layer on this machine's runtime. All that are timed run in turn with the dense layer,
 * so that the machine's drift hits all alike.
 *
 * @param input the layer's input for the batch that counts
 */
export async function candidateLatencies(
  model: OnnxModel,
  layer: Layer,
  candidates: readonly Candidate[],
  input: Tensor,
  options: { threads: number; signal: AbortSignal },
): Promise<number[]> {
  const families = familiesOf(candidates);
  const timed = [...new Set([...families.values()].flatMap((members) => chooseTimed(members)))];
  const feeds = new Map([[layer.input, input]]);
  const runners: Runner[] = [];
  const open = async (whole: OnnxModel) => {
    const part = extract(whole, [layer.input], [layer.output]).model;
    const runner = await Runner.open(part, { threads: options.threads });
    runners.push(runner);
    return () => runner.feed(feeds);
  };
  try {
    const runs = [await open(model)];
    for (const size of timed) {
      runs.push(await open(rewrite(model, new Map([[layer.name, dummyFactors(layer, size)]]))));
    }
    const [dense = [], ...factored] = await measureInTurn(runs, { ...RUNS, signal: options.signal });
    const denseMs = quantile(dense, 0.5);
    const ms = new Map<Candidate, number>();
    for (const [i, size] of timed.entries()) {
      const ratios = (factored[i] ?? []).map((time, round) => time / (dense[round] ?? time));
      ms.set(size, denseMs * quantile(ratios, 0.5));
    }
    const result = new Map(candidates.map((candidate) => [candidate, denseMs]));
    for (const members of families.values()) {
      const points = members.flatMap((size) => {
        const time = ms.get(size);
        return time === undefined ? [] : [{ ...size, ms: time }];
      });
      const estimate = members[0]?.shape === 'tucker' ? bilinear(points) : alongRank(points);
      for (const size of members) result.set(size, ms.get(size) ?? estimate(size));
    }
    return [...result.values()];
  } finally {
    for (const runner of runners) await runner.release();
  }
}

type Timed = LayerSize & { ms: number };

/** Factored candidates that differ in their ranks and widths only. */
function familiesOf(candidates: readonly Candidate[]): Map<string, Candidate[]> {
  const families = new Map<string, Candidate[]>();
  for (const candidate of candidates) {
    if (isDense(candidate)) continue;
    const key = `${candidate.shape} ${String(candidate.groups)}`;
    families.set(key, [...(families.get(key) ?? []), candidate]);
  }
  return families;
}

/** The smallest, the largest, and those nearest to what is to be timed. */
function chooseTimed(members: readonly Candidate[]): Candidate[] {
  const [first] = members;
  if (first === undefined) return [];
  const nearest = (distance: (c: Candidate) => number): Candidate =>
    members.reduce((best, c) => (distance(c) < distance(best) ? c : best), first);
  if (first.shape === 'tucker') {
    return TIMED_PAIRS.flatMap((inner) =>
      TIMED_PAIRS.map((rank) =>
        nearest((c) => Math.abs(Math.log(c.inner / inner)) + Math.abs(Math.log(c.rank / rank))),
      ),
    );
  }
  const most = Math.max(...members.map(({ rank }) => rank));
  const wanted = first.groups > 0 ? [8, 48] : TIMED_RANKS;
  return [...wanted.filter((rank) => rank < most), most].map((rank) => nearest((c) => Math.abs(c.rank - rank)));
}

/** Up to the next timed rank, and never falling: a smaller rank does not take longer, whatever the noise says. */
function alongRank(points: readonly Timed[]): (size: LayerSize) => number {
  const rising: Timed[] = [];
  for (const point of [...points].sort((a, b) => a.rank - b.rank)) {
    rising.push({ ...point, ms: Math.max(point.ms, rising.at(-1)?.ms ?? 0) });
  }
  return ({ rank }) => {
    const right = rising.findIndex((point) => point.rank >= rank);
    const b = rising[right];
    const a = rising[right - 1];
    if (b === undefined) return rising.at(-1)?.ms ?? Number.NaN;
    if (a === undefined || b.rank - a.rank <= NEAR) return b.ms;
    return a.ms + ((b.ms - a.ms) * (rank - a.rank)) / (b.rank - a.rank);
  };
}

/** Least squares of  ms = a + b inner + c rank + d inner rank,  in blocks of channels. */
function bilinear(points: readonly Timed[]): (size: LayerSize) => number {
  const block = (channels: number) => (channels <= 8 ? 8 : Math.ceil(channels / 16) * 16);
  const terms = ({ inner, rank }: LayerSize) => [1, block(inner), block(rank), block(inner) * block(rank)];
  const rows = points.map(terms);
  const scale = [0, 1, 2, 3].map((j) => Math.max(...rows.map((row) => row[j] ?? 0), 1));
  const scaled = (size: LayerSize) => terms(size).map((term, j) => term / (scale[j] ?? 1));
  const gram = new Float64Array(16);
  const right = new Float64Array(4);
  for (const point of points) {
    const row = scaled(point);
    for (let i = 0; i < 4; i++) {
      right[i] = (right[i] ?? 0) + (row[i] ?? 0) * point.ms;
      for (let j = 0; j < 4; j++) gram[4 * i + j] = (gram[4 * i + j] ?? 0) + (row[i] ?? 0) * (row[j] ?? 0);
    }
  }
  for (let i = 0; i < 4; i++) gram[5 * i] = (gram[5 * i] ?? 0) + 1e-6;
  const inverse = lowerSolveIdentity(cholesky(gram, 4, 'times of a tucker part'), 4);
  const half = multiply64(inverse, right, 4, 4, 1);
  const coefficients = multiply64(transpose64(inverse, 4, 4), half, 4, 4, 1);
  const least = Math.min(...points.map(({ ms }) => ms));
  return (size) =>
    Math.max(
      0.5 * least,
      scaled(size).reduce((sum, term, j) => sum + term * (coefficients[j] ?? 0), 0),
    );
}
