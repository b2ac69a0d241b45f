import { InfrastructureError } from '../../errors/index.js';
import { choicesOf } from '../../jobs/points.js';
import type { LayerRow } from '../../jobs/results.js';
import type { Assignment, DroppedBranch, PlannedPoint, StepFile } from '../../jobs/tasks.js';
import type { WeightCodingName } from '../../models/index.js';
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

/** How the file of the task's point keeps its weights. */
export const pointCoding = (assignment: Pick<Assignment, 'spec' | 'finished' | 'point'>): WeightCodingName =>
  pointOf(assignment).coding ?? assignment.spec.method.weights.coding;

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

/** Inputs of a layer that stays dense and is refitted: the Cholesky of more takes longer than the gain is worth. */
const MAX_DENSE_INPUTS = 1024;

/**
 * The solved layers, and behind the first of them and of those that are left out those that stay dense and may make up for what it lost; in graph
 * order.
 */
export function refittedLayers(
  rows: readonly LayerRow[],
  solved: readonly number[],
  dropped: readonly DroppedBranch[] = [],
): number[] {
  const gone = new Set(dropped.flatMap(({ layers }) => layers));
  const first = Math.min(...solved, ...gone);
  return rows.flatMap(({ index, reason, shape }) => {
    if (gone.has(index)) return [];
    const d = shape.slice(1).reduce((a, b) => a * b, 1);
    return solved.includes(index) || (index > first && reason === null && d <= MAX_DENSE_INPUTS) ? [index] : [];
  });
}
