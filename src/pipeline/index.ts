import type { JobInput } from '../jobs/tasks.js';
import { assemble } from './assemble.js';
import { evaluate } from './evaluate.js';
import { fileOf, finishedOf, finishedOne } from './finished.js';
import { inspect } from './inspect.js';
import { layer } from './layer.js';
import { files } from './layer-file.js';
import { plan } from './plan.js';
import type { FilesNeeded, RunStep } from './step.js';

export type { FilesNeeded, RunStep, StepContext, StepLimits } from './step.js';

/** Runs one step of a job on local files. */
export const runStep: RunStep = (assignment, context) => {
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

/** The stored files that a step reads. */
export const filesNeeded: FilesNeeded = (assignment) => {
  const { kind, inputs } = assignment;
  const evaluation: JobInput[] = inputs.evaluation === null ? [] : [inputs.evaluation];
  switch (kind) {
    case 'inspect':
      return [inputs.model, inputs.calibration, ...evaluation];
    case 'plan': {
      const curves = fileOf(finishedOne(assignment, 'inspect'), files.curves);
      // A speedup is planned on the network itself.
      return 'speedup' in assignment.spec.target ? [curves, inputs.model, inputs.calibration] : [curves];
    }
    case 'layer':
      return [fileOf(finishedOne(assignment, 'inspect'), files.samples(assignment.layer ?? -1))];
    case 'assemble': {
      const solved = finishedOf(assignment, 'layer');
      const inspected = finishedOne(assignment, 'inspect');
      return [
        inputs.model,
        inputs.calibration,
        ...solved.map((task) => fileOf(task, files.factors)),
        ...solved.map((task) => fileOf(inspected, files.response(task.layer ?? -1))),
      ];
    }
    case 'evaluate': {
      const data = inputs.evaluation ?? inputs.calibration;
      return [inputs.model, data, fileOf(finishedOne(assignment, 'assemble'), files.model)];
    }
  }
};
