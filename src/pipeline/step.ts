import type { EngineChoice } from '../engines/index.js';
import type { Running } from '../models/index.js';
import type { PhaseShares } from '../jobs/progress.js';
import type { Assignment, JobInput, StepResult } from '../jobs/tasks.js';

/**
 * What a step may use besides its assignment. Steps read and write local files only. The device is that of networks which are not timed.
 */
export interface StepContext extends Running {
  /** Local path of a storage key that `filesNeeded` listed. */
  path(key: string): string;
  /** An empty directory; every file written to `output/` in it is kept as a result file of the step. */
  directory: string;
  signal: AbortSignal;
  /** 0..1 */
  progress(fraction: number): void;
  /** Told what the phases of the job are expected to take, in proportion: before the inspection, and again as the pace of this machine becomes known. */
  expect?: (shares: PhaseShares) => void;
  limits: StepLimits;
  engine: EngineChoice;
}

/** Lets a part of a step report its own progress, from 0 to 1. */
export const partOf = <Context extends Pick<StepContext, 'progress'>>(
  context: Context,
  from: number,
  to: number,
): Context => ({
  ...context,
  progress: (share: number) => context.progress(from + (to - from) * share),
});

export interface StepLimits {
  maxArchiveEntries: number;
  maxArchiveRatio: number;
  maxModelBytes: number;
  maxGraphNodes: number;
  maxTensorElements: number;
  maxCalibrationSamples: number;
  layerMemoryBytes: number;
}

/** `runStep` is pure compute: same assignment, files and seed give the same result. */
export type RunStep = (assignment: Assignment, context: StepContext) => Promise<StepResult>;

/** Storage keys that a step reads, so that the worker can fetch them before the step starts. */
export type FilesNeeded = (assignment: Assignment) => Pick<JobInput, 'key' | 'bytes' | 'sha256'>[];
