import type { Dataset } from '../../datasets/index.js';
import type { Metrics } from '../../jobs/results.js';
import type { Spec } from '../../jobs/spec.js';
import { Runner, type Model } from '../../models/index.js';
import { repeatRows } from '../network/batch.js';
import { measureInTurn, quantile, speedup } from './latency.js';

const RUNS = { warmup: 3, minRuns: 15, maxRuns: 200, fewestRuns: 5 };
/** Wall time of one network per batch size. */
const NETWORK_SECONDS = 3;

export interface NetworkTiming {
  threads: number;
  spec: Pick<Spec, 'benchmark'>;
  /** Batch size above which the runtime must not keep the memory of its feature maps: all networks hold theirs. */
  mostWithArena: number;
  signal: AbortSignal;
  /** Share that is done. */
  progress: (share: number) => void;
}

/**
 * Latency of every compressed network against the original's, for each batch size of the benchmark; all of them run in turn.
 */
export async function networkLatencies(
  original: Model,
  compressed: readonly Model[],
  data: Dataset,
  { threads, spec: { benchmark }, mostWithArena, signal, progress }: NetworkTiming,
): Promise<Metrics['latency'][]> {
  const runners: Runner[] = [];
  try {
    const arena = Math.max(...benchmark.batch_sizes) <= mostWithArena;
    for (const model of [original, ...compressed]) runners.push(await Runner.open(model, { threads, arena }));
    const fixedBatch = runners[0]?.fixedBatch ?? null;
    const sizes = fixedBatch === null ? benchmark.batch_sizes : [fixedBatch];
    const results: Metrics['latency'][] = compressed.map(() => []);
    for (const [done, batch] of sizes.entries()) {
      const images = await repeatRows(data, batch);
      const [before = [], ...others] = await measureInTurn(
        runners.map((runner) => () => runner.run(images)),
        { ...RUNS, budgetSeconds: NETWORK_SECONDS * runners.length, signal },
      );
      for (const [i, after] of others.entries()) {
        const { ratio, ci95 } = speedup({ before, after });
        results[i]?.push({
          batch,
          before_ms: { p50: quantile(before, 0.5), p95: quantile(before, 0.95) },
          after_ms: { p50: quantile(after, 0.5), p95: quantile(after, 0.95) },
          speedup: ratio,
          speedup_ci95: ci95,
          runs: before.length,
        });
      }
      progress((done + 1) / sizes.length);
    }
    return results;
  } finally {
    for (const runner of runners) await runner.release();
  }
}
