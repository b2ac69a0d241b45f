import { assemble } from './steps/assemble/assemble.js';
import { evaluate } from './steps/evaluate/evaluate.js';
import { inspect } from './steps/inspect/inspect.js';
import { layer } from './steps/layer/layer.js';
import { plan } from './steps/plan/plan.js';
import { withSteadyProgress } from './steady-progress.js';
import type { RunStep } from './step.js';

export type { FilesNeeded, RunStep, StepContext, StepLimits } from './step.js';

/** Runs one step of a job on local files. */
export const runStep: RunStep = (assignment, context) =>
  withSteadyProgress(context, (steady) => run(assignment, steady));

const run: RunStep = (assignment, context) => {
  switch (assignment.kind) {
    case 'inspect':
      return inspect(assignment, context);
    case 'plan':
      return plan(assignment, context);
    case 'layer':
      return layer(assignment, context);
    case 'assemble':
      return assemble(assignment, context);
    case 'evaluate':
      return evaluate(assignment, context);
  }
};
