import { seededRandom } from '../network/random.js';

/** Latencies of two alternatives, measured in turn so that drift of the machine hits both alike. */
export interface PairedLatency {
  before: number[];
  after: number[];
}

export interface MeasureOptions {
  warmup: number;
  minRuns: number;
  maxRuns: number;
  /** Stops after this time once `minRuns` are reached. */
  budgetSeconds: number;
  /** Rounds that do where `minRuns` would take more than PATIENCE times the budget; default: `minRuns`. */
  fewestRuns?: number;
  signal?: AbortSignal;
}

/** A network that takes seconds for a run is timed less often: its times differ less. */
const PATIENCE = 4;

/** Runs `before` and `after` in turn, swapping the order of every second pair, and returns milliseconds. */
export async function measurePaired(
  before: () => Promise<unknown>,
  after: () => Promise<unknown>,
  options: MeasureOptions,
): Promise<PairedLatency> {
  const [first = [], second = []] = await measureInTurn([before, after], options);
  return { before: first, after: second };
}

/** Runs all alternatives in turn, every second round in the opposite order. Returns milliseconds, a list for each. */
export async function measureInTurn(
  runs: readonly (() => Promise<unknown>)[],
  { warmup, minRuns, maxRuns, budgetSeconds, fewestRuns = minRuns, signal }: MeasureOptions,
): Promise<number[][]> {
  const warmedUp = performance.now() + 1000 * budgetSeconds;
  for (let i = 0; i < warmup && (i === 0 || fewestRuns === minRuns || performance.now() < warmedUp); i++) {
    signal?.throwIfAborted();
    for (const run of runs) await run();
  }
  const timed = runs.map((run) => ({ run, times: [] as number[] }));
  const backwards = [...timed].reverse();
  const start = performance.now();
  const wanted = (done: number): boolean => {
    const spent = (performance.now() - start) / (1000 * budgetSeconds);
    return done < fewestRuns || spent < 1 || (done < minRuns && spent < PATIENCE);
  };
  for (let i = 0; i < maxRuns && wanted(i); i++) {
    signal?.throwIfAborted();
    for (const { run, times } of i % 2 === 0 ? timed : backwards) {
      const begun = performance.now();
      await run();
      times.push(performance.now() - begun);
    }
  }
  return timed.map(({ times }) => times);
}

/** Linear interpolation between order statistics (type 7 of Hyndman and Fan 1996). */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const low = Math.floor(position);
  const a = sorted[low] ?? Number.NaN;
  const b = sorted[Math.min(low + 1, sorted.length - 1)] ?? a;
  return a + (b - a) * (position - low);
}

/** Ratio of medians with a 95 % interval by bootstrap over pairs (percentile method, fixed seed). */
export function speedup({ before, after }: PairedLatency, resamples = 1000): { ratio: number; ci95: [number, number] } {
  const ratio = quantile(before, 0.5) / quantile(after, 0.5);
  const random = seededRandom(1, before.length);
  const ratios: number[] = [];
  for (let r = 0; r < resamples; r++) {
    const b: number[] = [];
    const a: number[] = [];
    for (let i = 0; i < before.length; i++) {
      const pick = Math.floor(random() * before.length);
      b.push(before[pick] ?? Number.NaN);
      a.push(after[pick] ?? Number.NaN);
    }
    ratios.push(quantile(b, 0.5) / quantile(a, 0.5));
  }
  return { ratio, ci95: [quantile(ratios, 0.025), quantile(ratios, 0.975)] };
}
