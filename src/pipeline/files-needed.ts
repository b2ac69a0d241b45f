import type { JobInput } from '../jobs/tasks.js';
import { fileOf, finishedOf, finishedOne } from './finished.js';
import { files } from './step-files.js';
import type { FilesNeeded } from './step.js';

/** The stored files that a step reads. In a file of its own, so that a worker's parent need not load the runtime. */
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
