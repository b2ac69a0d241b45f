import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { LayerRow } from '../jobs/results.js';
import type { Spec } from '../jobs/spec.js';
import type { Assignment, EvaluateResult, FinishedTask, JobInput, StepFile, TaskKind } from '../jobs/tasks.js';
import { runStep, type StepContext } from './index.js';

export interface LocalOptions {
  model: string;
  calibration: string;
  evaluation: string | null;
  /** Resolved; its sources are ignored. */
  spec: Spec;
  /** Existing or new directory for the artifacts. */
  output: string;
  /** Where scratch files go for the time of the run; default: the system's temporary directory. */
  temporary?: string;
  engine: StepContext['engine'];
  threads: number;
  limits: StepContext['limits'];
  signal: AbortSignal;
  /** Called when a step starts (fraction 0), goes on, and ends (fraction 1). */
  onProgress?: (kind: TaskKind, layer: LayerRow | null, fraction: number) => void;
}

export interface LocalResult extends EvaluateResult {
  /** Names of the artifacts in `output`. */
  artifacts: string[];
  /** Wall seconds by step; layers added up. */
  seconds: Record<TaskKind, number>;
}

/** The whole way of a job in this process: the same steps as the service, without queue and database. */
export async function compressLocally(options: LocalOptions): Promise<LocalResult> {
  const directory = await mkdtemp(join(options.temporary ?? tmpdir(), 'sparank-'));
  const seconds: Record<TaskKind, number> = { inspect: 0, plan: 0, layer: 0, assemble: 0, evaluate: 0 };
  try {
    const base: Assignment = {
      taskId: 'local',
      jobId: 'local',
      teamId: 'local',
      kind: 'inspect',
      layer: null,
      attempt: 1,
      spec: options.spec,
      inputs: {
        model: await input(options.model),
        calibration: await input(options.calibration),
        evaluation: options.evaluation === null ? null : await input(options.evaluation),
      },
      finished: [],
      seconds: { queued: 0, running: 0, device: 0 },
      labels: options.spec.labels,
    };
    const started = performance.now();
    const run = async (kind: TaskKind, layer: LayerRow | null): Promise<FinishedTask> => {
      const begun = performance.now();
      const scratch = join(directory, layer === null ? kind : `${kind}-${String(layer.index)}`);
      await mkdir(join(scratch, 'output'), { recursive: true });
      options.onProgress?.(kind, layer, 0);
      const elapsed = (performance.now() - started) / 1000;
      const assignment = {
        ...base,
        kind,
        layer: layer?.index ?? null,
        seconds: { queued: 0, running: elapsed, device: elapsed },
      };
      const result = await runStep(assignment, {
        path: (key) => key,
        directory: scratch,
        signal: options.signal,
        progress: (fraction) => options.onProgress?.(kind, layer, fraction),
        limits: options.limits,
        engine: options.engine,
        threads: options.threads,
      });
      const task = {
        kind,
        layer: layer?.index ?? null,
        result,
        files: await outputFiles(join(scratch, 'output')),
      } as FinishedTask;
      base.finished = [...base.finished, task];
      options.onProgress?.(kind, layer, 1);
      seconds[kind] += (performance.now() - begun) / 1000;
      return task;
    };
    await run('inspect', null);
    const planned = (await run('plan', null)) as FinishedTask<'plan'>;
    for (const { index } of planned.result.allocations) {
      await run('layer', planned.result.layers.find((row) => row.index === index) ?? null);
    }
    await run('assemble', null);
    const evaluated = (await run('evaluate', null)) as FinishedTask<'evaluate'>;
    await mkdir(options.output, { recursive: true });
    for (const { name, key } of evaluated.files) await copyFile(key, join(options.output, name));
    return { ...evaluated.result, artifacts: evaluated.files.map(({ name }) => name), seconds };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function input(path: string): Promise<JobInput> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return { key: path, bytes: (await stat(path)).size, sha256: hash.digest('hex'), filename: basename(path) };
}

/** In this process the key of a file is its path. */
async function outputFiles(directory: string): Promise<StepFile[]> {
  const names = await readdir(directory);
  return Promise.all(
    names.map(async (name) => ({
      name,
      key: join(directory, name),
      bytes: (await stat(join(directory, name))).size,
      sha256: '',
    })),
  );
}
