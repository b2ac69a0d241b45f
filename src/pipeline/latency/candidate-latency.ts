import type { Candidate } from '../../compression/index.js';
import {
  extract,
  integerEnds,
  isDense,
  LOW_RANK_SHAPES,
  PATTERN,
  placeholderIntegers,
  PLAIN_PATTERN,
  rewrite,
  Runner,
  usesOf,
  type Factors,
  type Layer,
  type LayerSize,
  type Model,
  type Tensor,
} from '../../models/index.js';
import { measureInTurn, quantile } from './latency.js';

/** Ranks that are timed, and widths of parts that have two; the times of the others follow from their work. */
const TIMED_RANKS = [8, 16, 32, 64, 128];
const TIMED_PAIRS = [16, 32, 64];
/** Time against work, as powers. */
const SMALLEST_SLOPE = 0.4;
const LARGEST_SLOPE = 1.2;
const RUNS = { warmup: 1, minRuns: 5, maxRuns: 25, budgetSeconds: 0.8, fewestRuns: 3 };

/** Values do not matter for the speed, but denormal numbers would. */
const VALUE = 0.01;

/** A layer's factors of a given size. */
export function dummyFactors(layer: Layer, size: LayerSize): Factors {
  const { shape, rank, inner, groups, pattern = PLAIN_PATTERN } = size;
  const filled = (length: number) => new Float32Array(length).fill(VALUE);
  const [p, q, basis] = LOW_RANK_SHAPES[shape]
    .parts(layer, size, layer.m)
    .map(({ outputs, channels, taps }) => filled(outputs * channels * taps))
    .reverse();
  if (p === undefined || q === undefined) throw new RangeError(`a ${shape} part of fewer than two convolutions`);
  return {
    lowRank: rank === 0 ? null : { shape, rank, inner, basis: basis ?? null, q, p },
    sparse: groups === 0 ? null : { pattern, ...PATTERN[pattern].even(layer, groups, VALUE) },
    bias: filled(layer.m),
  };
}

/**
 * Milliseconds of every candidate of a layer on this machine's runtime. All that are timed run in turn with the dense
 * layer, so that the machine's drift hits all alike.
 *
 * @param options `integers`: as they compute with integers, from the integers of their inputs to those of their outputs
 * @param inputs the layer's input for the batch that counts, by name; of each of its uses
 */
export async function candidateLatencies(
  model: Model,
  layer: Layer,
  { candidates, inputs: feeds }: { candidates: readonly Candidate[]; inputs: ReadonlyMap<string, Tensor> },
  options: { threads: number; signal: AbortSignal; integers: boolean },
): Promise<number[]> {
  const whole = candidates.find(isDense);
  if (whole === undefined) throw new RangeError(`${layer.name} has no dense candidate`);
  const families = familiesOf(candidates);
  const timed = [...new Set([...families.values()].flatMap((members) => chooseTimed(members)))];
  const runners: Runner[] = [];
  // Where one use reads what another one makes, the two are timed as a chain.
  const outputs = usesOf(layer).map(({ output }) => output);
  const given = [...feeds.keys()].filter((name) => !outputs.includes(name));
  const open = async (whole: Model) => {
    const part = extract(whole, given, outputs).model;
    const [model, own] = options.integers ? betweenIntegers(part, { given, outputs, feeds }) : [part, feeds];
    const runner = await Runner.open(model, { threads: options.threads });
    runners.push(runner);
    return () => runner.feed(own);
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
    // What some of the input channels alone take is not timed: they come without being picked from the others.
    const result = new Map(
      candidates.map((c) => [
        c,
        c.keeps === undefined && c.dropped !== true ? denseMs : (denseMs * c.work) / whole.work,
      ]),
    );
    for (const members of families.values()) {
      const points = members.flatMap((size) => {
        const time = ms.get(size);
        return time === undefined ? [] : [{ ...size, ms: time }];
      });
      const estimate = againstWork(whole, points);
      for (const size of members) result.set(size, estimate(size));
    }
    return [...result.values()];
  } finally {
    for (const runner of runners) await runner.release();
  }
}

/** A part of a network as it computes with integers, without the ways into them and out of them, and what it reads. */
function betweenIntegers(
  part: Model,
  {
    given,
    outputs,
    feeds,
  }: { given: readonly string[]; outputs: readonly string[]; feeds: ReadonlyMap<string, Tensor> },
): [Model, ReadonlyMap<string, Tensor>] {
  const whole = placeholderIntegers(part);
  const own = new Map<string, Tensor>();
  for (const name of given) {
    const { from } = integerEnds(whole, { from: name, to: name });
    const tensor = feeds.get(name);
    if (tensor === undefined) continue;
    own.set(from, from === name ? tensor : { dims: tensor.dims, data: new Uint8Array(tensor.data.length).fill(1) });
  }
  const ends = outputs.map((name) => integerEnds(whole, { from: name, to: name }).to);
  return [extract(whole, own.keys(), ends).model, own];
}

/** Factored candidates that differ in their ranks and widths only. */
function familiesOf(candidates: readonly Candidate[]): Map<string, Candidate[]> {
  const families = new Map<string, Candidate[]>();
  for (const candidate of candidates) {
    if (isDense(candidate) || candidate.dropped === true || candidate.keeps !== undefined) continue;
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
  if (LOW_RANK_SHAPES[first.shape].narrows === 'both') {
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

/**
 * A line through the logarithms of time and work, by the median of all slopes (Theil and Sen): single times are noisy,
 * the estimated work is smooth, and how far it is from the time differs from layer to layer and from shape to shape.
 */
function againstWork(dense: Candidate, points: readonly (Candidate & { ms: number })[]): (size: Candidate) => number {
  const logs = points.map(({ work, ms }) => ({ x: Math.log(work / dense.work), y: Math.log(ms) }));
  const slopes = logs.flatMap((p, i) =>
    logs.slice(i + 1).flatMap((q) => (Math.abs(p.x - q.x) < 0.1 ? [] : [(p.y - q.y) / (p.x - q.x)])),
  );
  const slope = Math.min(LARGEST_SLOPE, Math.max(SMALLEST_SLOPE, slopes.length === 0 ? 1 : quantile(slopes, 0.5)));
  const offset = quantile(
    logs.map(({ x, y }) => y - slope * x),
    0.5,
  );
  return ({ work }) => Math.exp(offset + slope * Math.log(work / dense.work));
}
