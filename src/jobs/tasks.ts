import type { WeightBits } from '../models/coding/weight-code.js';
import type { WeightCodingName } from '../models/coding/weight-codings.js';
import type { ModelFormatName } from '../models/formats/index.js';
import type { LowRankShape } from '../models/low-rank/index.js';
import type { SparsePattern } from '../models/sparse/index.js';
import type { SerializedError } from '../errors/index.js';
import type { Distillation, LayerRow, Metrics, Verdict, Warning, WhyNotDistilled } from './results.js';

export type { Distillation, WhyNotDistilled } from './results.js';
import type { Spec, Target } from './spec.js';

/**
 * The steps of a job, in order. There is a `layer` task for every layer to solve and an `assemble` task for every
 * point.
 */
export const TASK_KINDS = ['inspect', 'plan', 'layer', 'assemble', 'evaluate'] as const;
export type TaskKind = (typeof TASK_KINDS)[number];

/** The public name of the step a job is in. */
export const PHASES = ['inspect', 'plan', 'layers', 'assemble', 'evaluate'] as const;
export type Phase = (typeof PHASES)[number];

/** Of every phase of a job, on two quiet cores, or as far as known at the pace of the machine; and what of `assemble` is for changing all layers together. */
export type ExpectedSeconds = Readonly<Record<Phase | 'distillation', number>>;

export const JOB_STATUSES = ['queued', 'running', 'canceling', 'succeeded', 'failed', 'canceled'] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];

/**
 * waiting: recorded, not yet in the queue. released: in the queue. running: a worker holds its lease.
 */
export const TASK_STATES = ['waiting', 'released', 'running', 'succeeded', 'failed', 'canceled'] as const;
export type TaskState = (typeof TASK_STATES)[number];

/** A file that a step wrote, by its name inside the step, and where storage keeps it. */
export interface StepFile {
  name: string;
  key: string;
  bytes: number;
  sha256: string;
}

export interface ModelSummary {
  format: ModelFormatName;
  parameters: number;
  macs: number;
  bytes: number;
  inputs: { name: string; type: string; shape: (number | string)[] }[];
  outputs: { name: string; type: string; shape: (number | string)[] }[];
  /** Element type of most of the weights in the client's file. */
  weights: string;
}

/** One operation of the network, as it is shown. */
export interface NetworkNode {
  name: string;
  op: string;
  /** Indices of the nodes whose outputs it takes. */
  inputs: number[];
  /** Index of its layer, where it has weights. */
  layer: number | null;
}

/** Plain JSON results of the steps; the files beside them are listed by the worker. */
export interface InspectResult {
  model: ModelSummary;
  /** Every weighted layer, in graph order, with `decision: 'dense'` and a reason where it is blocked. */
  layers: LayerRow[];
  /** Null where the network is too large to be drawn; absent in the results of older versions. */
  graph?: NetworkNode[] | null;
  /** As counted beforehand, at the pace that the inspection itself had; absent in the results of older versions. */
  expected?: ExpectedSeconds;
  /** Seconds that the effort leaves for the distillation of each target. */
  distillation?: readonly number[];
}
export interface LayerAllocation {
  index: number;
  /** How the low-rank part is laid out; `inner` is the width of its first convolution, where it has two. */
  shape: LowRankShape;
  rank: number;
  inner: number;
  groups: number;
  /** What the groups are; absent: input channels. */
  pattern?: SparsePattern;
}
/** A branch of a sum that is left out. */
export interface DroppedBranch {
  /** The tensor that the sum makes. */
  sum: string;
  /** The layers in it, by index. */
  layers: number[];
}
/** What one target comes to. */
export interface PlannedPoint {
  /** Its number: targets are counted from 1. */
  point: number;
  target: Target;
  /** The layers to compress. */
  allocations: LayerAllocation[];
  /** Absent: none. */
  dropped?: DroppedBranch[];
  /** The ledger as planned. */
  layers: LayerRow[];
  /** How the file keeps the weights, where the plan chose another way than the specification has. */
  coding?: WeightCodingName;
  /** Of a weight in a codebook, where that differs between layers: by index of the layer. */
  bits?: Readonly<Record<number, WeightBits>>;
  /**
   * Less and less compressed plans, with all branches, for the case that the first does not keep what was asked of the
   * outputs; absent: none.
   */
  fallbacks?: LayerAllocation[][];
  /** What the plan could not do, for the verdict; absent: nothing. */
  warnings?: Warning[];
  /** Set where there is no network for this target: the other points go on without it. */
  error: SerializedError | null;
}
export interface PlanResult {
  /** One for every target. A layer that any of them compresses is one `layer` task. */
  points: PlannedPoint[];
}
export interface LayerResult {
  /** One for every distinct choice of the layer, in the order of `choicesOf`. */
  rows: LayerRow[];
}
export interface AssembleResult {
  /** Rows that assembling changed (a layer put back to dense, errors after the refit). */
  layers: LayerRow[];
  /** Absent where the network was left as the refit had made it. */
  distillation?: Distillation;
  /** Why it was, where distillation was asked for. */
  notDistilled?: WhyNotDistilled;
  /** The same of coded weights. */
  codeDistillation?: Distillation;
  /** How the weights are kept, where that was left open until the network was there. */
  coding?: WeightCodingName;
  /** Where the outputs were asked to be so good: on samples that the search for the plan did not see. */
  unseen?: Pick<Metrics, 'accuracy' | 'fidelity'>;
  /** For the verdict. */
  warnings?: Warning[];
}
/** What was measured of the network of one point. */
export interface MeasuredPoint {
  point: number;
  /** Name of the artifact. */
  model: string;
  metrics: Metrics;
  verdict: Verdict;
  layers: LayerRow[];
}
export interface EvaluateResult {
  /** Those that were reached: at least one. */
  points: MeasuredPoint[];
}
export interface StepResults {
  inspect: InspectResult;
  plan: PlanResult;
  layer: LayerResult;
  assemble: AssembleResult;
  evaluate: EvaluateResult;
}
export type StepResult = StepResults[TaskKind];

/** A finished step of the job, as a later step sees it. */
export interface FinishedTask<K extends TaskKind = TaskKind> {
  kind: K;
  /** Index of the layer for `layer` tasks, else null. */
  layer: number | null;
  /** Number of the point for `assemble` tasks, else null. */
  point: number | null;
  result: StepResults[K];
  files: StepFile[];
  /** Peak resident memory of the process that computed it, where that is known. */
  peakBytes?: number | null;
}

/** An input file of the job: where storage keeps it. A URL source is resolved to storage before the first task runs. */
export interface JobInput {
  key: string;
  bytes: number;
  sha256: string;
  filename: string;
}

/** Everything a worker needs to run one task. */
export interface Assignment {
  taskId: string;
  jobId: string;
  teamId: string;
  kind: TaskKind;
  layer: number | null;
  point: number | null;
  /** Fencing token: a result is taken only while the task is at this attempt. */
  attempt: number;
  spec: Spec;
  inputs: { model: JobInput; calibration: JobInput; evaluation: JobInput | null };
  /** All succeeded tasks of the job; for a layer those that it builds on, without the other layers. */
  finished: FinishedTask[];
  /** Device seconds spent and seconds queued so far, for the metrics. */
  seconds: { queued: number; running: number; device: number };
  labels: Record<string, string>;
  /** W3C trace context of the request that made the job, when it was traced. */
  traceparent?: string | null;
}

export type TaskOutcome = { ok: true; result: StepResult; files: StepFile[] } | { ok: false; error: SerializedError };
