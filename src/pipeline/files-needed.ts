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
      const inspected = finishedOne(assignment, 'inspect');
      const curves = fileOf(inspected, files.curves);
      const { target } = assignment.spec;
      // These two are planned on the network itself.
      if ('speedup' in target) return [curves, inputs.model, inputs.calibration];
      if ('max_accuracy_drop' in target) return [...inspected.files, inputs.model, inputs.calibration, ...evaluation];
      return [curves];
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
