import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { deviceOfNetworks } from '../engines/index.js';
import { FIRST_TASK, nextTasks, phaseOf, type NewTask } from '../jobs/next-tasks.js';
import { choicesOf, targetsOf } from '../jobs/points.js';
import { etaSeconds, jobFraction, usualShares, type PhaseShares } from '../jobs/progress.js';
import type { LayerRow, Point } from '../jobs/results.js';
import type { Spec } from '../jobs/spec.js';
import type {
  Assignment,
  ExpectedSeconds,
  FinishedTask,
  MeasuredPoint,
  JobInput,
  StepFile,
  TaskKind,
} from '../jobs/tasks.js';
import { finishedOne } from './files/finished.js';
import { peakMemoryBytes, resetPeakMemory } from '../observability/peak-memory.js';
import { filesNeeded } from './files-needed.js';
import { runStep, type StepContext } from './index.js';

/** As in a job, with the ledger. */
export type LocalPoint = Point & { layers: LayerRow[] };

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
  onProgress?: (kind: TaskKind, layer: LayerRow | null, fraction: number, point: number | null) => void;
  /**
   * Called with the progress of the whole job, 0 to 1, and the seconds that are expected to be left (null: not known
   * yet).
   */
  onEstimate?: (fraction: number, etaSeconds: number | null) => void;
}

export interface LocalResult extends Pick<MeasuredPoint, 'metrics' | 'verdict' | 'layers'> {
  /** One for every target; the first that was reached is also at the top. */
  points: LocalPoint[];
  /** Names of the artifacts in `output`. */
  artifacts: string[];
  /** Wall seconds by step; layers added up. */
  seconds: Record<TaskKind, number>;
  /** What the inspection expected of every phase. */
  expected: ExpectedSeconds | undefined;
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
      point: null,
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
    const estimate = jobEstimate(options, started);
    const run = async ({ kind, layer: index, point }: NewTask): Promise<FinishedTask> => {
      const layer = rowOf(base, index);
      const begun = performance.now();
      const scratch = join(directory, [kind, index ?? point ?? ''].join('-'));
      await mkdir(join(scratch, 'output'), { recursive: true });
      options.onProgress?.(kind, layer, 0, point);
      resetPeakMemory();
      const elapsed = (performance.now() - started) / 1000;
      const assignment = {
        ...base,
        kind,
        layer: index,
        point,
        seconds: { queued: 0, running: elapsed, device: elapsed },
      };
      const needed = new Set(filesNeeded(assignment).map(({ key }) => key));
      const result = await runStep(assignment, {
        path: (key) => {
          // A worker has only the files that a step asks for.
          if (!needed.has(key)) throw new RangeError(`${kind} reads ${key} without asking for it`);
          return key;
        },
        directory: scratch,
        signal: options.signal,
        progress: (fraction) => {
          options.onProgress?.(kind, layer, fraction, point);
          estimate.progress(kind, fraction);
        },
        expect: (shares) => estimate.expect(shares),
        limits: options.limits,
        engine: options.engine,
        threads: options.threads,
        device: deviceOfNetworks(options.engine),
      });
      const task = {
        kind,
        layer: index,
        point,
        result,
        files: await outputFiles(join(scratch, 'output')),
        peakBytes: peakMemoryBytes(),
      } as FinishedTask;
      base.finished = [...base.finished, task];
      options.onProgress?.(kind, layer, 1, point);
      seconds[kind] += (performance.now() - begun) / 1000;
      return task;
    };
    const waiting = [FIRST_TASK];
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      estimate.open(1 + waiting.filter((task) => task.kind === next?.kind).length);
      const { kind } = await run(next);
      const open = waiting.filter((task) => task.kind === kind).length;
      waiting.push(
        ...(kind === 'plan' || kind === 'layer'
          ? nextTasks({ kind, plan: planOf(base), open })
          : nextTasks({ kind, open })),
      );
    }
    const evaluated = finishedOne(base, 'evaluate');
    await mkdir(options.output, { recursive: true });
    for (const { name, key } of evaluated.files) await copyFile(key, join(options.output, name));
    const { expected } = finishedOne(base, 'inspect').result;
    return { ...pointsOf(base), artifacts: evaluated.files.map(({ name }) => name), seconds, expected };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Of the job, from the progress of its tasks, which run one after the other. The fraction never falls. */
function jobEstimate({ spec, onEstimate }: LocalOptions, started: number) {
  let shares = usualShares(targetsOf(spec).length, spec.effort);
  let reached = 0;
  const tasks = { kind: '', total: 1, left: 1 };
  return {
    expect: (expected: PhaseShares) => {
      shares = expected;
    },
    /** So many tasks of the kind that starts now are open. */
    open: (left: number) => {
      tasks.left = left;
    },
    progress: (kind: TaskKind, fraction: number) => {
      if (kind !== tasks.kind) Object.assign(tasks, { kind, total: tasks.left });
      const done = tasks.total - tasks.left + fraction;
      const now = jobFraction({ phase: phaseOf(kind), done, total: tasks.total, shares });
      reached = Math.max(reached, now);
      // By the shares as they are known now: what is reached may come of others.
      onEstimate?.(reached, etaSeconds(now, (performance.now() - started) / 1000));
    },
  };
}

const planOf = (job: Assignment) => finishedOne(job, 'plan').result;

/** The row of a layer that is solved, in the plan of the first point that compresses it. */
function rowOf(job: Assignment, index: number | null): LayerRow | null {
  if (index === null) return null;
  const [choice] = choicesOf(planOf(job), index);
  const point = planOf(job).points.find((p) => p.point === choice?.points[0]);
  return point?.layers.find((row) => row.index === index) ?? null;
}

function pointsOf(job: Assignment): Pick<LocalResult, 'metrics' | 'verdict' | 'layers' | 'points'> {
  const measured = finishedOne(job, 'evaluate').result.points;
  const [first] = measured;
  if (first === undefined) throw new RangeError('no point was measured');
  const { metrics, verdict, layers } = first;
  const points = planOf(job).points.map(({ point, target, error, layers: planned }): LocalPoint => {
    const found = measured.find((m) => m.point === point);
    const none = { model: null, metrics: null, verdict: null, layers: planned };
    return { point, target, error, ...(found ?? none) };
  });
  return { metrics, verdict, layers, points };
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
