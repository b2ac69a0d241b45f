/** One whole job in a process of its own, so that the peak memory is that of the job. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../src/config.js';
import type { LayerRow, Metrics } from '../../src/jobs/results.js';
import { resolveSpec } from '../../src/jobs/resolve-spec.js';
import type { TaskKind } from '../../src/jobs/tasks.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { stepLimits } from '../../src/worker/limits.js';
import type { JobFiles } from './files.js';
import { peakBytes } from './process-memory.js';

export interface JobRequest {
  files: JobFiles;
  spec: Record<string, unknown>;
  threads: number;
  /** Directory to leave the artifacts in; without it they are thrown away. */
  output?: string;
}

export interface JobOutcome {
  seconds: Record<TaskKind, number>;
  metrics: Metrics;
  layers: LayerRow[];
  /** Before the job: Node, the loader of the bench, the modules. */
  peakBefore: number;
  peak: number;
}

async function run({ files, spec, threads, output: kept }: JobRequest): Promise<JobOutcome> {
  const config = readConfig({});
  const output = kept ?? (await mkdtemp(join(tmpdir(), 'sparank-bench-job-')));
  const source = { upload: 'local' };
  const peakBefore = peakBytes(process.pid);
  try {
    const { seconds, metrics, layers } = await compressLocally({
      ...files,
      spec: resolveSpec({ model: source, calibration: source, evaluation: source, ...spec }),
      output,
      engine: config.ENGINE,
      threads: threads === 0 ? availableParallelism() : threads,
      limits: stepLimits(config),
      signal: new AbortController().signal,
    });
    // Every step starts a measurement of its own.
    const peak = Math.max(metrics.memory?.peak_bytes ?? 0, peakBytes(process.pid));
    return { seconds, metrics, layers, peakBefore, peak };
  } finally {
    if (kept === undefined) await rm(output, { recursive: true, force: true });
  }
}

process.once('message', (request) => {
  run(request as JobRequest).then(
    (outcome) => process.send?.(outcome, () => process.disconnect()),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
