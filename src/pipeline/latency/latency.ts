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

/**
 * Of short runs the time depends on who ran before: on what is left in the caches, and on threads that sleep. In turns
 * there and back, whoever stood at an end ran after itself half of the time: of three networks, two of them the same,
 * one looked 1.4 times as fast as the other. So each runs once without being timed, as it runs when it is alone.
 */
const SHORT_MS = 10;

/** Runs all alternatives in turn, every second round in the opposite order. Returns milliseconds, a list for each. */
export async function measureInTurn(
  runs: readonly (() => Promise<unknown>)[],
  { warmup, minRuns, maxRuns, budgetSeconds, fewestRuns = minRuns, signal }: MeasureOptions,
): Promise<number[][]> {
  const warmedUp = performance.now() + 1000 * budgetSeconds;
  let slowest = Infinity;
  for (let i = 0; i < warmup && (i === 0 || fewestRuns === minRuns || performance.now() < warmedUp); i++) {
    signal?.throwIfAborted();
    const times = [];
    for (const run of runs) times.push(await millisecondsOf(run));
    slowest = Math.min(slowest, Math.max(...times));
  }
  const short = slowest < SHORT_MS;
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
      if (short) await run();
      times.push(await millisecondsOf(run));
    }
  }
  return timed.map(({ times }) => times);
}

async function millisecondsOf(run: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await run();
  return performance.now() - begun;
}

export const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;

/** Other work on the machine makes runs slower, never faster: what a run takes when there is little of it. */
export const quietTime = (times: readonly number[]): number => quantile(times, 0.2);

/** Linear interpolation between order statistics (type 7 of Hyndman and Fan 1996). */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const low = Math.floor(position);
  const a = sorted[low] ?? Number.NaN;
  const b = sorted[Math.min(low + 1, sorted.length - 1)] ?? a;
  return a + (b - a) * (position - low);
}

/** Ratio of medians, of one block of runs: for a plan. What is reported comes from many blocks. */
export const speedup = ({ before, after }: PairedLatency): { ratio: number } => ({
  ratio: quantile(before, 0.5) / quantile(after, 0.5),
});
