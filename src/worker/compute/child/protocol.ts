import type { SerializedError } from '../../../errors/index.js';
import type { Assignment, StepResult } from '../../../jobs/tasks.js';
import type { StepContext, StepLimits } from '../../../pipeline/step.js';

/** One step for the child to run; all paths are local. */
export interface StepRequest {
  assignment: Assignment;
  /** Storage key -> local path. */
  paths: Record<string, string>;
  directory: string;
  limits: StepLimits;
  engine: StepContext['engine'];
  threads: number;
}

export type ToChild = { type: 'run'; run: number; request: StepRequest };

/** What a task cost, as the child measured it. */
export interface StepUsage {
  seconds: number;
  /** Highest resident memory while the step ran. */
  peakRssBytes: number;
}

export type FromChild =
  | { type: 'ready' }
  | { type: 'progress'; run: number; fraction: number }
  | { type: 'warning'; run: number; text: string }
  | { type: 'done'; run: number; result: StepResult; usage: StepUsage }
  | { type: 'failed'; run: number; error: SerializedError; stack: string | null; usage: StepUsage };
