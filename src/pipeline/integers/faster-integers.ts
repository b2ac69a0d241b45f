import {
  extract,
  integerIslands,
  Runner,
  type Island,
  type Model,
  type Samples,
  type Tensor,
} from '../../models/index.js';
import { batchesOf } from '../network/batch.js';
import { fedRun, inputsOf } from '../latency/layer-latency.js';
import { mean, measureInTurn, quietTime } from '../latency/latency.js';
import { timesInTurn } from '../latency/network-latency.js';
import type { Calibration } from './activation-ranges.js';

/** Of an island, both ways. */
const RUNS = { warmup: 2, minRuns: 7, fewestRuns: 3, maxRuns: 50, budgetSeconds: 0.3 };
/** All islands together, at one batch size. */
const ALL_SECONDS = 12;
/** Of the whole network. */
const WHOLE = { warmup: 3, minRuns: 15, fewestRuns: 3, maxRuns: 100, budgetSeconds: 2 };

export interface Timing {
  /** Batch sizes that count. */
  batches: readonly number[];
  threads: number;
  signal: AbortSignal;
}

/**
 * Layers that are to stay float32 because integers are not faster with them on this machine. Layers that hand each
 * other integers are timed together, with the ways into integers and out of them; then whole networks: all that can be
 * integers, the faster islands alone, none. Of these the fastest is taken, by the mean over the batch sizes.
 *
 * @param integersBut the network with integers but in these layers
 */
export async function slowerWithIntegers(
  float: Model,
  integersBut: (left: ReadonlySet<string>) => Model,
  network: Pick<Calibration, 'calibration' | 'batch' | 'fixedBatch'>,
  { batches, threads, signal }: Timing,
): Promise<Set<string>> {
  const islands = integerIslands(float);
  const all = integersBut(new Set());
  const { images } = await batchesOf(network, batches);
  const slower: Island[] = [];
  for (const island of islands) {
    signal.throwIfAborted();
    const shares: number[] = [];
    for (const samples of images)
      shares.push(await shareOfTime(float, all, island, { samples, threads, signal, of: islands.length }));
    if (mean(shares) >= 1) slower.push(island);
  }
  const names = (of: readonly Island[]) => new Set(of.flatMap(({ layers }) => layers));
  const choices = [names(islands), new Set<string>()];
  if (slower.length > 0 && slower.length < islands.length) choices.push(names(slower));
  const models = [float, ...choices.slice(1).map(integersBut)];
  const times = await sharesOfFirst(models, images, { threads, signal });
  const [first = new Set<string>()] = choices;
  return choices.reduce(
    (best, choice, i) => ((times[i] ?? 1) < (times[choices.indexOf(best)] ?? 1) ? choice : best),
    first,
  );
}

/** Whether a network is faster than another one, by the mean over the batch sizes. */
export async function isFaster(
  network: Model,
  than: Model,
  data: Pick<Calibration, 'calibration' | 'batch' | 'fixedBatch'>,
  { batches, threads, signal }: Timing,
): Promise<boolean> {
  const { images } = await batchesOf(data, batches);
  const [, share = Infinity] = await sharesOfFirst([than, network], images, { threads, signal });
  return share < 1;
}

/** Times of whole networks, the first one's being 1: the mean over the batch sizes. */
async function sharesOfFirst(
  models: readonly Model[],
  images: readonly Samples[],
  { threads, signal }: Pick<Timing, 'threads' | 'signal'>,
): Promise<number[]> {
  const open = (model: Model) => Runner.open(model, { threads });
  const whole = await timesInTurn(models, images, { open, runs: WHOLE, signal });
  return models.map((_, i) => mean(whole.map((of) => quietTime(of[i] ?? []) / quietTime(of[0] ?? []))));
}

/** Of an island with integers, against the same in float32. */
async function shareOfTime(
  float: Model,
  integers: Model,
  { from, to }: Island,
  { samples, threads, signal, of }: { samples: Samples; threads: number; signal: AbortSignal; of: number },
): Promise<number> {
  const given = await inputsOf(float, new Set(from), samples, threads);
  const feeds = new Map<string, Tensor>();
  for (const name of from) {
    const value = samples.get(name) ?? given.get(name);
    if (value !== undefined) feeds.set(name, value);
  }
  const runners: Runner[] = [];
  try {
    for (const model of [float, integers]) runners.push(await Runner.open(extract(model, from, to).model, { threads }));
    const budgetSeconds = Math.min(RUNS.budgetSeconds, ALL_SECONDS / of);
    const runs = runners.map((runner) => fedRun(runner, feeds));
    const [before = [], after = []] = await measureInTurn(runs, { ...RUNS, budgetSeconds, signal });
    return quietTime(after) / quietTime(before);
  } finally {
    for (const runner of runners) await runner.release();
  }
}
