import { artifactContentType } from '../../jobs/artifacts.js';
import { nextTasks, phaseOf, type Finished, type NewTask } from '../../jobs/next-tasks.js';
import { choicesOf, layersToSolve } from '../../jobs/points.js';
import { phaseSpan, sharesOf, type SharesSource } from '../../jobs/progress.js';
import type { LayerRow } from '../../jobs/results.js';
import type { Phase, PlanResult, StepFile, StepResult, StepResults, TaskKind } from '../../jobs/tasks.js';
import { newId } from '../connection/ids.js';
import type { StoredPoint } from '../records.js';

/** A running task with what its result's consequences depend on. */
export interface TaskOfJob extends SharesSource {
  id: string;
  jobId: string;
  teamId: string;
  attempt: number;
  kind: TaskKind;
  layer: number;
  point: number;
  workerId: string | null;
  /** Since its start. */
  seconds: number | null;
  /** Whether the job's end is told to an URL. */
  notifies: boolean;
  /** For layers and the evaluation; for the inspection when it is made again. */
  plan: PlanResult | null;
  /** Whether tasks of the job are held until a step is made again (see jobs/recompute.ts). */
  holds: boolean;
}

interface Outcome {
  result: StepResult;
  files: StepFile[];
  peakBytes?: number;
}

interface Progress {
  phase: Phase;
  base: number;
  span: number;
}

/** Everything that `sparank_succeed_task` writes; what depends on the job's other tasks is decided there. */
export interface StepEnd {
  result: StepResult;
  files: StepFile[];
  peak_bytes: number | null;
  /** For the ledgers. */
  rows: { point: number; row: LayerRow }[];
  event?: { type: string; data: Record<string, unknown> };
  /** While tasks of the same kind are open. */
  own: Progress;
  /** After the last of them. */
  then: Progress;
  next: (NewTask & { id: string })[];
  /** Whether the caller knows of tasks that are held. */
  holds: boolean;
  layers_total?: number;
  points?: StoredPoint[];
  ends?: true;
  metrics?: unknown;
  verdict?: unknown;
  artifacts?: (StepFile & { contentType: string })[];
  artifact_bytes?: number;
  artifact_seconds?: number;
}

/** What follows from the result of a task. */
export function consequences(task: TaskOfJob, outcome: Outcome, artifactDays: number): StepEnd {
  const result = withWorker(task, outcome.result);
  const finished = finishedStep(task, result);
  const next = nextTasks(finished).map((one) => ({ ...one, id: newId('tsk') }));
  const expected = task.kind === 'inspect' ? (result as StepResults['inspect']).expected : task.expected;
  const shares = sharesOf({ ...task, expected: expected ?? null });
  const progress = (phase: Phase): Progress => ({ phase, ...phaseSpan(phase, shares) });
  return {
    result,
    files: outcome.files,
    peak_bytes: outcome.peakBytes === undefined ? null : Math.round(outcome.peakBytes),
    own: progress(phaseOf(task.kind)),
    // What comes after a step that is made again is there already.
    then: progress(phaseOf(task.holds ? task.kind : (next[0]?.kind ?? task.kind))),
    next,
    holds: task.holds,
    ...ofKind(task, result, outcome.files, artifactDays),
  };
}

/** As if nothing else of its kind were open. */
function finishedStep(task: TaskOfJob, result: StepResult): Finished {
  const { kind } = task;
  if (kind === 'inspect' || kind === 'evaluate') return { kind };
  if (kind === 'assemble') return { kind, open: 0 };
  return { kind, open: 0, plan: kind === 'plan' ? (result as StepResults['plan']) : planOf(task) };
}

function planOf({ jobId, plan }: TaskOfJob): PlanResult {
  if (plan === null) throw new Error(`the job ${jobId} has no plan`);
  return plan;
}

/** Who solved a layer, and when: in the result itself, since later steps hand the rows on. */
function withWorker({ kind, workerId, attempt, seconds }: TaskOfJob, result: StepResult): StepResult {
  if (kind !== 'layer') return result;
  const { rows } = result as StepResults['layer'];
  const share = (seconds ?? 0) / rows.length;
  return { rows: rows.map((row) => ({ ...row, worker_id: workerId, attempt, seconds: row.seconds ?? share })) };
}

const ledger = (points: { point: number; layers: LayerRow[] }[]): StepEnd['rows'] =>
  points.flatMap(({ point, layers }) => layers.map((row) => ({ point, row })));

type OfKind = Pick<StepEnd, 'rows'> & Partial<StepEnd>;

function ofKind(task: TaskOfJob, result: StepResult, files: StepFile[], artifactDays: number): OfKind {
  switch (task.kind) {
    case 'inspect': {
      // The plan, and what came of it, are in the ledgers already.
      if (task.plan !== null) return { rows: [] };
      const { layers } = result as StepResults['inspect'];
      return { rows: ledger(Array.from({ length: task.targets }, (_, i) => ({ point: i + 1, layers }))) };
    }
    case 'plan': {
      const plan = result as StepResults['plan'];
      const none = { model: null, metrics: null, verdict: null };
      const points = plan.points.map(({ point, target, error }): StoredPoint => ({ point, target, ...none, error }));
      return { rows: ledger(plan.points), points, layers_total: layersToSolve(plan).length };
    }
    case 'layer':
      return solvedLayer(task, result as StepResults['layer']);
    case 'assemble':
      return { rows: ledger([{ point: task.point, layers: (result as StepResults['assemble']).layers }]) };
    case 'evaluate':
      return report(task, result as StepResults['evaluate'], files, artifactDays);
  }
}

function solvedLayer(task: TaskOfJob, { rows }: StepResults['layer']): OfKind {
  const perPoint = choicesOf(planOf(task), task.layer).flatMap(({ points }, i) => {
    const row = rows[i];
    return row === undefined ? [] : points.map((point) => ({ point, row }));
  });
  const [first] = rows;
  if (first === undefined) return { rows: perPoint };
  const { name, decision, relative_error } = first;
  const data = {
    layer: task.layer,
    name,
    decision,
    relative_error,
    seconds: rows.reduce((sum, { seconds }) => sum + (seconds ?? 0), 0),
    attempt: task.attempt,
    solves: rows.length,
  };
  return { rows: perPoint, event: { type: 'layer.finished', data } };
}

/** The seconds among the metrics are filled in as the job ends. */
function report(
  task: TaskOfJob,
  { points: measured }: StepResults['evaluate'],
  files: StepFile[],
  artifactDays: number,
): OfKind {
  const points = planOf(task).points.map(({ point, target, error }): StoredPoint => {
    const found = measured.find((m) => m.point === point);
    if (found === undefined) return { point, target, model: null, metrics: null, verdict: null, error };
    const { model, metrics, verdict } = found;
    return { point, target, model, metrics, verdict, error };
  });
  const first = points.find(({ metrics }) => metrics !== null);
  return {
    rows: ledger(measured),
    points,
    ends: true,
    metrics: first?.metrics ?? null,
    verdict: first?.verdict ?? null,
    artifacts: files.map((file) => ({ ...file, contentType: artifactContentType(file.name) })),
    artifact_bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    artifact_seconds: artifactDays * 86_400,
  };
}
