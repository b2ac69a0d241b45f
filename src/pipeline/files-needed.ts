import { targetsOf } from '../jobs/points.js';
import { targetOf, wishOf } from '../jobs/targets.js';
import type { FinishedTask, JobInput, StepFile } from '../jobs/tasks.js';
import { fileOf, finishedOf, finishedOne, optionalFileOf } from './files/finished.js';
import { pointOf, refittedLayers, solvedLayers } from './files/solved-layers.js';
import { files } from './files/step-files.js';
import type { FilesNeeded } from './step.js';

const metricFile = (inspected: FinishedTask, index: number): StepFile[] => {
  const file = optionalFileOf(inspected, files.metric(index));
  return file === null ? [] : [file];
};

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
      const targets = targetsOf(assignment.spec).map((target) => targetOf(wishOf(target).name));
      if (targets.some(({ quality }) => quality))
        return [...inspected.files, inputs.model, inputs.calibration, ...evaluation];
      // Whether a plan is faster than the original is known when both have run.
      return [curves, inputs.model, inputs.calibration];
    }
    case 'layer': {
      const inspected = finishedOne(assignment, 'inspect');
      const index = assignment.layer ?? -1;
      return [fileOf(inspected, files.samples(index)), ...metricFile(inspected, index)];
    }
    case 'assemble': {
      const solved = solvedLayers(assignment);
      const inspected = finishedOne(assignment, 'inspect');
      const { target, dropped } = pointOf(assignment);
      // Which layers a less compressed plan needs is known once the first has been measured.
      if (targetOf(wishOf(target).name).quality)
        return [
          ...[inputs.model, inputs.calibration, ...evaluation],
          ...solved.map(({ factors }) => factors),
          ...inspected.files,
        ];
      return [
        inputs.model,
        inputs.calibration,
        ...solved.map(({ factors }) => factors),
        ...refittedLayers(
          inspected.result.layers,
          solved.map(({ index }) => index),
          dropped,
        ).flatMap((index) => [fileOf(inspected, files.response(index)), ...metricFile(inspected, index)]),
      ];
    }
    case 'evaluate': {
      const assembled = finishedOf(assignment, 'assemble');
      return [
        inputs.model,
        // Calibration, too, where evaluation data is measured: whether outputs that moved did so on what was fitted.
        ...[inputs.calibration, ...evaluation],
        ...assembled.map((task) => fileOf(task, files.model)),
        ...[files.uncoded, files.inner].flatMap((name) =>
          assembled.flatMap((task) => optionalFileOf(task, name) ?? []),
        ),
      ];
    }
  }
};
