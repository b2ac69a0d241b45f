import { createHash } from 'node:crypto';
import { Value } from 'typebox/value';
import type { NewJob } from '../../src/database/records.js';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import type { Database, ReleasableTask } from '../../src/database/repositories.js';
import { choicesOf, modelName, targetsOf } from '../../src/jobs/points.js';
import { type Spec, SpecSchema, type Target } from '../../src/jobs/spec.js';
import type { LayerRow, Metrics } from '../../src/jobs/results.js';
import type {
  Assignment,
  AssembleResult,
  JobInput,
  LayerResult,
  PlanResult,
  StepFile,
  StepResult,
} from '../../src/jobs/tasks.js';

/** Jobs and step results for tests of the rooms that move them around: well-formed, with made-up numbers. */

const input = (name: string): JobInput => ({
  key: `uploads/team_default/${name}`,
  bytes: 10,
  sha256: createHash('sha256').update(name).digest('hex'),
  filename: name,
});

export function testSpec(): Spec {
  const given = {
    model: { upload: 'upl_model' },
    calibration: { upload: 'upl_calibration' },
    target: { parameter_ratio: 4 },
  };
  const spec = Value.Default(SpecSchema, given);
  if (!Value.Check(SpecSchema, spec)) throw new Error('the test specification is not valid');
  return spec;
}

export const newJob = (change: Partial<NewJob> = {}): NewJob => ({
  spec: testSpec(),
  inputs: { model: input('model.onnx'), calibration: input('calibration.npz'), evaluation: null },
  labels: {},
  priority: 'normal',
  deadlineSeconds: null,
  ...change,
});

export const layerRow = (index: number, change: Partial<LayerRow> = {}): LayerRow => ({
  index,
  name: `conv${index}`,
  op: 'Conv',
  shape: [64, 32, 3, 3],
  status: 'waiting',
  decision: null,
  reason: null,
  low_rank_shape: null,
  rank: null,
  inner_rank: null,
  groups: null,
  groups_total: 32,
  parameters: { before: 100, after: 100, ratio: 1 },
  macs: { before: 100, after: 100, ratio: 1 },
  relative_error: null,
  relative_error_linear: null,
  iterations: null,
  primal_residual: null,
  dual_residual: null,
  note: null,
  latency_ms: null,
  worker_id: null,
  attempt: null,
  seconds: null,
  ...change,
});

const ratio = { before: 100, after: 25, ratio: 4 };

export const testMetrics = (): Metrics => ({
  parameters: ratio,
  macs: ratio,
  bytes: ratio,
  latency: [],
  speedup: 2,
  accuracy: null,
  fidelity: { top1_agreement: 1, relative_error: 0.01, samples: 10 },
  device: { engine: 'onnxruntime', name: 'cpu', threads: 1 },
  seconds: { queued: 0, running: 0, device: 0 },
});

const model = {
  format: 'onnx' as const,
  parameters: 100,
  macs: 100,
  bytes: 400,
  inputs: [],
  outputs: [],
  weights: 'float32',
};

const planIn = (finished: Assignment['finished']) =>
  finished.find(({ kind }) => kind === 'plan')?.result as PlanResult | undefined;

/** Every point compresses every layer; the rank of the first layer depends on the point. */
export const testPlan = (targets: Target[], layers: number): PlanResult => ({
  points: targets.map((target, i) => ({
    point: i + 1,
    target,
    allocations: Array.from({ length: layers }, (_, index) => ({
      index,
      shape: 'channel' as const,
      inner: 0,
      rank: index === 0 ? 8 * (i + 1) : 8,
      groups: 8,
    })),
    layers: [],
    error: null,
  })),
});

/** What a step with `layers` layers might return. */
export function stepResult(
  assignment: Pick<Assignment, 'kind' | 'layer'> & Partial<Pick<Assignment, 'finished' | 'point' | 'spec'>>,
  layers: number,
): StepResult {
  // The later steps hand on the rows that they were given, as the real ones do.
  const finished = assignment.finished ?? [];
  const plan = planIn(finished);
  const solved = finished.flatMap((task) => {
    if (task.kind !== 'layer' || plan === undefined) return [];
    const choice = choicesOf(plan, task.layer ?? 0).findIndex(({ points }) => points.includes(assignment.point ?? 1));
    return (task.result as LayerResult).rows.slice(choice, choice + 1);
  });
  const rows = Array.from({ length: layers }, (_, index) => layerRow(index));
  switch (assignment.kind) {
    case 'inspect':
      return { model, layers: rows };
    case 'plan':
      return testPlan(targetsOf(assignment.spec ?? testSpec()), layers);
    case 'layer':
      return {
        rows: choicesOf(plan ?? testPlan([{ parameter_ratio: 4 }], layers), assignment.layer ?? 0).map(
          ({ allocation: { rank, groups } }) =>
            layerRow(assignment.layer ?? 0, {
              status: 'done',
              decision: 'compressed',
              rank,
              groups,
              relative_error: 0.1,
            }),
        ),
      };
    case 'assemble':
      return { layers: solved };
    case 'evaluate':
      return {
        points: finished
          .filter((task) => task.kind === 'assemble')
          .map(({ point, result }) => ({
            point: point ?? 0,
            model: modelName(point ?? 0, 'onnx'),
            metrics: testMetrics(),
            verdict: { passed: true, checks: [] },
            layers: (result as AssembleResult).layers,
          })),
      };
  }
}

export const stepFile = (name: string, key = `jobs/work/${name}`): StepFile => ({
  name,
  key,
  bytes: 3,
  sha256: 'b'.repeat(64),
});

/** Released and not yet claimed, like the messages in a queue. */
const released = new WeakMap<Database, ReleasableTask[]>();

/** Releases and claims whatever comes next, as a worker named `workerId`. Messages that are out of date are dropped. */
export async function claimNext(database: Database, workerId = 'wrk_test'): Promise<Assignment | null> {
  const tasks = [...(released.get(database) ?? []), ...((await database.pool.release()) ?? [])];
  released.set(database, tasks);
  for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
    const assignment = await database.pool.claim(task.taskId, task.attempt, workerId);
    if (assignment !== null) return assignment;
  }
  return null;
}

/** Claims the next task and lets it succeed. */
export async function finishNext(database: Database, layers: number): Promise<Assignment> {
  const assignment = await claimNext(database);
  if (assignment === null) throw new Error('no task to claim');
  const files = assignment.kind === 'evaluate' ? [stepFile('model.onnx'), stepFile('report.json')] : [];
  const taken = await database.pool.succeed(assignment.taskId, assignment.attempt, {
    result: stepResult(assignment, layers),
    files,
  });
  if (!taken) throw new Error('the result was refused');
  return assignment;
}

/** A job with the uploads that it reads. */
export async function createJob(database: Database, change: Partial<NewJob> = {}, team = DEFAULT_TEAM) {
  const job = newJob(change);
  for (const file of Object.values(job.inputs)) if (file !== null) await database.uploads.create(team, file);
  return database.jobs.create(team, job);
}
