import type { Dataset } from '../../datasets/index.js';
import type { Metrics } from '../../jobs/results.js';
import type { Spec } from '../../jobs/spec.js';
import { Runner, type Model, type Samples } from '../../models/index.js';
import { repeatRows } from '../network/batch.js';
import { speedupOfBlocks } from './block-interval.js';
import { measureInTurn, quantile, type MeasureOptions, type PairedLatency } from './latency.js';

/** Runs of a block. */
const RUNS = { warmup: 2, minRuns: 3, maxRuns: 40, fewestRuns: 1 };
/**
 * Blocks of every batch size, each with sessions of its own, and all batch sizes in every block: they lie as far apart
 * as the measurement is long.
 */
const BLOCKS = { blocks: 10, fewest: 5, seconds: 3 };
/** A network that takes seconds for a run has fewer blocks, once the measurement takes so many times what it should. */
const PATIENCE = 3;

/** A network that is ready to run. */
export type TimedRunner = Pick<Runner, 'fixedBatch' | 'release'> & {
  typed(samples: Samples): Samples;
  run(samples: Samples): Promise<unknown>;
};

export interface NetworkTiming {
  threads: number;
  spec: Pick<Spec, 'benchmark'>;
  /** Samples that a run may have: larger batch sizes are measured at so many. Default: any. */
  most?: number;
  /** Batch size above which the runtime must not keep the memory of its feature maps: all networks hold theirs. */
  mostWithArena: number;
  /** With what the networks run; default: ONNX Runtime. */
  open?: (model: Model) => Promise<TimedRunner>;
  signal: AbortSignal;
  /** Share that is done. */
  progress: (share: number) => void;
}

/**
 * Latency of every compressed network against the original's, for each batch size of the benchmark; all of them run in
 * turn.
 */
export async function networkLatencies(
  original: Model,
  compressed: readonly Model[],
  data: Dataset,
  { threads, spec: { benchmark }, most = Infinity, mostWithArena, open: given, signal, progress }: NetworkTiming,
): Promise<Metrics['latency'][]> {
  const asked = [...new Set(benchmark.batch_sizes.map((size) => Math.min(size, most)))];
  const arena = Math.max(...asked) <= mostWithArena;
  const open = given ?? ((model: Model) => Runner.open(model, { threads, arena }));
  const first = await open(original);
  const { fixedBatch } = first;
  await first.release();
  const sizes = fixedBatch === null ? asked : [fixedBatch];
  const blocks = await networkBlocks(original, compressed, data, { batches: sizes, open, signal, progress });
  return compressed.map((_, i) => sizes.map((batch, size) => resultOf(batch, blocks[size]?.[i] ?? [])));
}

interface BlockTiming extends Pick<NetworkTiming, 'signal' | 'progress'> {
  batches: readonly number[];
  open: (model: Model) => Promise<TimedRunner>;
}

/** [batch size][compressed network][block] */
export async function networkBlocks(
  original: Model,
  compressed: readonly Model[],
  data: Dataset,
  { batches: sizes, open, signal, progress }: BlockTiming,
): Promise<PairedLatency[][][]> {
  const models = [original, ...compressed];
  const images = await Promise.all(sizes.map((batch) => repeatRows(data, batch)));
  const blocks = await blocksInTurn(models, images, { ...BLOCKS, open, signal, progress });
  return blocks.map((of) =>
    compressed.map((_, i) => of.map(([before = [], ...others]) => ({ before, after: others[i] ?? [] }))),
  );
}

/** Blocks of runs in turn, each in sessions of its own: [batch][block][model], milliseconds of every run. */
export async function blocksInTurn(
  models: readonly Model[],
  images: readonly Samples[],
  {
    blocks: most,
    fewest,
    seconds,
    open,
    signal,
    progress,
  }: Pick<BlockTiming, 'open' | 'signal' | 'progress'> & {
    blocks: number;
    /** Where single runs take long. */
    fewest: number;
    /** Wall time of one network per batch size, all blocks together. */
    seconds: number;
  },
): Promise<number[][][][]> {
  const blocks = images.map((): number[][][] => []);
  const begun = performance.now();
  const patience = 1000 * PATIENCE * seconds * models.length * images.length;
  for (let block = 0; block < most; block++) {
    if (block >= fewest && performance.now() - begun > patience) break;
    const budgetSeconds = (seconds / most) * models.length;
    const times = await timesInTurn(models, images, { open, runs: { ...RUNS, budgetSeconds }, signal });
    for (const [size, of] of times.entries()) blocks[size]?.push(of);
    progress((block + 1) / most);
  }
  return blocks;
}

/** All models in turn, in sessions opened for it: [batch][model], milliseconds of every run. */
export async function timesInTurn(
  models: readonly Model[],
  images: readonly Samples[],
  { open, runs, signal }: Pick<BlockTiming, 'open' | 'signal'> & { runs: MeasureOptions },
): Promise<number[][][]> {
  const runners: TimedRunner[] = [];
  try {
    for (const model of models) runners.push(await open(model));
    const times: number[][][] = [];
    for (const batch of images) {
      const each = runners.map((runner) => {
        const own = runner.typed(batch);
        return () => runner.run(own);
      });
      times.push(await measureInTurn(each, { ...runs, signal }));
    }
    return times;
  } finally {
    for (const runner of runners) await runner.release();
  }
}

function resultOf(batch: number, blocks: readonly PairedLatency[]): Metrics['latency'][number] {
  const { ratio, ci95 } = speedupOfBlocks(blocks);
  const times = (of: 'before' | 'after') => {
    const all = blocks.flatMap((block) => block[of]);
    return { p50: quantile(all, 0.5), p95: quantile(all, 0.95) };
  };
  return {
    batch,
    before_ms: times('before'),
    after_ms: times('after'),
    speedup: ratio,
    speedup_ci95: ci95,
    runs: blocks.reduce((sum, { before }) => sum + before.length, 0),
  };
}
