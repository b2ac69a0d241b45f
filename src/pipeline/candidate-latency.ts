import type { Candidate } from '../compression/index.js';
import {
  extract,
  rewrite,
  Runner,
  type Factors,
  type Layer,
  type LayerSize,
  type OnnxModel,
  type Tensor,
} from '../models/index.js';
import { measurePaired, quantile } from './latency.js';

/** Ranks that are timed for one number of kept channels; between them the time is interpolated. */
const TIMED_RANKS = 6;
const RUNS = { warmup: 2, minRuns: 5, maxRuns: 40, budgetSeconds: 0.12 };

/** A layer's factors of a given size; the values do not matter for its speed, but denormal numbers would. */
export function dummyFactors(layer: Layer, { shape, rank, inner, groups }: LayerSize): Factors {
  const { m, d, channels, kernel } = layer;
  const taps = d / channels;
  const [kh = 1, kw = 1] = kernel;
  const filled = (length: number) => new Float32Array(length).fill(0.01);
  const kept = Array.from({ length: groups }, (_, i) => Math.floor((i * channels) / groups));
  const part = { shape, rank, inner, basis: shape === 'tucker' ? filled(inner * channels) : null };
  const q = shape === 'spatial' ? channels * kh : (shape === 'tucker' ? inner : channels) * taps;
  return {
    lowRank: rank === 0 ? null : { ...part, q: filled(rank * q), p: filled(m * rank * (shape === 'spatial' ? kw : 1)) },
    sparse: groups === 0 ? null : { channels: kept, weights: filled(m * groups * taps) },
    bias: filled(m),
  };
}

/**
 * Milliseconds of every candidate of a layer on this machine's runtime: each timed one in turn with the dense layer, so that
 * the machine's drift cancels, and scaled to the dense layer's own time.
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
  const feeds = new Map([[layer.input, input]]);
  const open = (whole: OnnxModel) =>
    Runner.open(extract(whole, [layer.input], [layer.output]).model, { threads: options.threads });
  const dense = await open(model);
  try {
    const again = () => dense.feed(feeds);
    const { before, after } = await measurePaired(again, again, { ...RUNS, signal: options.signal });
    const denseMs = quantile([...before, ...after], 0.5);
    const ratio = async (size: Candidate): Promise<number> => {
      const factored = await open(rewrite(model, new Map([[layer.name, dummyFactors(layer, size)]])));
      try {
        const pairs = await measurePaired(again, () => factored.feed(feeds), { ...RUNS, signal: options.signal });
        return quantile(pairs.after, 0.5) / quantile(pairs.before, 0.5);
      } finally {
        await factored.release();
      }
    };
    const result = candidates.map(() => denseMs);
    for (const members of byGroups(candidates)) {
      const timed: { rank: number; ms: number }[] = [];
      for (const candidate of spread(members, TIMED_RANKS)) {
        timed.push({ rank: candidate.rank, ms: denseMs * (await ratio(candidate)) });
      }
      for (const candidate of members) result[candidates.indexOf(candidate)] = interpolate(timed, candidate.rank);
    }
    return result;
  } finally {
    await dense.release();
  }
}

/** Factored candidates with the same number of kept channels, by rising rank. */
function byGroups(candidates: readonly Candidate[]): Candidate[][] {
  const groups = new Map<number, Candidate[]>();
  for (const candidate of candidates) {
    if (candidate.rank === 0 && candidate.groups === 0) continue;
    groups.set(candidate.groups, [...(groups.get(candidate.groups) ?? []), candidate]);
  }
  return [...groups.values()].map((members) => members.sort((a, b) => a.rank - b.rank));
}

/** First, last and those in between whose ranks lie nearest to a geometric row. */
function spread(members: readonly Candidate[], count: number): Candidate[] {
  const first = members[0]?.rank ?? 0;
  const last = members.at(-1)?.rank ?? 0;
  const chosen = new Set<Candidate>();
  for (let i = 0; i < count; i++) {
    const wanted = Math.max(1, first) * (Math.max(1, last) / Math.max(1, first)) ** (i / (count - 1));
    const nearest = members.reduce((best, c) => (Math.abs(c.rank - wanted) < Math.abs(best.rank - wanted) ? c : best));
    chosen.add(nearest);
  }
  return [...chosen].sort((a, b) => a.rank - b.rank);
}

/** Piecewise linear in the rank, and never falling: a smaller rank does not take longer, whatever the noise says. */
function interpolate(timed: readonly { rank: number; ms: number }[], rank: number): number {
  const rising: { rank: number; ms: number }[] = [];
  for (const point of timed) rising.push({ rank: point.rank, ms: Math.max(point.ms, rising.at(-1)?.ms ?? 0) });
  const right = rising.findIndex((point) => point.rank >= rank);
  const b = rising[right];
  const a = rising[right - 1];
  if (b === undefined) return rising.at(-1)?.ms ?? Number.NaN;
  if (a === undefined || b.rank === rank) return b.ms;
  return a.ms + ((b.ms - a.ms) * (rank - a.rank)) / (b.rank - a.rank);
}
