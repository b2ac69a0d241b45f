import { InfrastructureError } from '../errors.js';
import { choicesOf } from '../jobs/points.js';
import type { LayerRow } from '../jobs/results.js';
import type { Assignment, PlannedPoint, StepFile } from '../jobs/tasks.js';
import { fileOf, finishedOf, finishedOne } from './finished.js';
import { files } from './step-files.js';

export interface SolvedLayerFile {
  index: number;
  row: LayerRow;
  factors: StepFile;
}

/** The point that a task is about. */
export function pointOf(assignment: Pick<Assignment, 'finished' | 'point'>): PlannedPoint {
  const point = finishedOne(assignment, 'plan').result.points.find((p) => p.point === assignment.point);
  if (point === undefined) throw new RangeError(`point ${String(assignment.point)} was not planned`);
  return point;
}

/** The compressed layers of the task's point as they were solved. */
export function solvedLayers(assignment: Pick<Assignment, 'finished' | 'point'>): SolvedLayerFile[] {
  const plan = finishedOne(assignment, 'plan').result;
  const { point, allocations } = pointOf(assignment);
  const tasks = finishedOf(assignment, 'layer');
  return allocations.map(({ index }) => {
    const task = tasks.find(({ layer }) => layer === index);
    const choice = choicesOf(plan, index).findIndex(({ points }) => points.includes(point));
    const row = task?.result.rows[choice];
    if (task === undefined || row === undefined)
      throw new InfrastructureError(
        'compute_failed',
        `layer ${String(index)} was not solved for point ${String(point)}`,
      );
    return { index, row, factors: fileOf(task, files.factors(choice)) };
  });
}
