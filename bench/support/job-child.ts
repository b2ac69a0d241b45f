/** One whole job in a process of its own, so that the peak memory is that of the job. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../src/config/index.js';
import type { LayerRow, Metrics } from '../../src/jobs/results.js';
import { resolveSpec } from '../../src/jobs/resolve-spec.js';
import type { TaskKind } from '../../src/jobs/tasks.js';
import { compressLocally, type LocalResult } from '../../src/pipeline/local.js';
import { stepLimits } from '../../src/worker/limits.js';
import type { JobFiles } from './files.js';
import { peakBytes } from './process-memory.js';

export interface JobRequest {
  /** Without evaluation data the job holds out some of its calibration data. */
  files: Omit<JobFiles, 'evaluation'> & { evaluation: string | null };
  spec: Record<string, unknown>;
  threads: number;
  /** Directory to leave the artifacts in; without it they are thrown away. */
  output?: string;
}

export interface JobOutcome {
  seconds: Record<TaskKind, number>;
  metrics: Metrics;
  layers: LayerRow[];
  /** One for every target. */
  points: LocalResult['points'];
  /** Processor seconds of all threads by phase, as `seconds` is wall time. */
  processor: Record<TaskKind, number>;
  /** Seconds that the inspection expected of every phase. */
  expected: LocalResult['expected'];
  /** What was told of the time that is left, and when, in seconds. */
  told: { at: number; left: number }[];
  /** Before the job: Node, the loader of the bench, the modules. */
  peakBefore: number;
  peak: number;
}

export interface JobAnswer {
  outcome?: JobOutcome;
  failed?: string;
}

/** Steps follow one another: the start of one is the end of the one before. */
function processorMeter() {
  const spent: Record<TaskKind, number> = { inspect: 0, plan: 0, layer: 0, assemble: 0, evaluate: 0 };
  let open: { kind: TaskKind; since: NodeJS.CpuUsage } | null = null;
  const stop = () => {
    if (open !== null) {
      const { user, system } = process.cpuUsage(open.since);
      spent[open.kind] += (user + system) / 1e6;
    }
    open = null;
    return spent;
  };
  return {
    start(kind: TaskKind) {
      stop();
      open = { kind, since: process.cpuUsage() };
    },
    stop,
  };
}

async function run({ files, spec, threads, output: kept }: JobRequest): Promise<JobOutcome> {
  const config = readConfig({});
  const output = kept ?? (await mkdtemp(join(tmpdir(), 'sparank-bench-job-')));
  const source = { upload: 'local' };
  const peakBefore = peakBytes(process.pid);
  try {
    const meter = processorMeter();
    const began = performance.now();
    const told: JobOutcome['told'] = [];
    const { seconds, metrics, layers, points, expected } = await compressLocally({
      ...files,
      spec: resolveSpec({
        model: source,
        calibration: source,
        ...(files.evaluation === null ? {} : { evaluation: source }),
        ...spec,
      }),
      output,
      engine: config.ENGINE,
      threads: threads === 0 ? availableParallelism() : threads,
      limits: stepLimits(config),
      signal: new AbortController().signal,
      onProgress: (kind, _, fraction) => {
        if (fraction === 0) meter.start(kind);
      },
      onEstimate: (_, left) => {
        if (left !== null) told.push({ at: (performance.now() - began) / 1000, left });
      },
    });
    const processor = meter.stop();
    // Every step starts a measurement of its own.
    const peak = Math.max(metrics.memory?.peak_bytes ?? 0, peakBytes(process.pid));
    return { seconds, metrics, layers, points, processor, expected, told, peakBefore, peak };
  } finally {
    if (kept === undefined) await rm(output, { recursive: true, force: true });
  }
}

process.once('message', (request) => {
  const answer = (value: JobAnswer) => process.send?.(value, () => process.exit(value.outcome === undefined ? 1 : 0));
  run(request as JobRequest).then(
    (outcome) => answer({ outcome }),
    (error: unknown) => {
      console.error(error);
      answer({ failed: error instanceof Error ? error.message : String(error) });
    },
  );
});
