import type { LayerRow } from '../../../jobs/results.js';
import type { Assignment } from '../../../jobs/tasks.js';
import { finishedOf, finishedOne } from '../../files/finished.js';
import { pointOf } from '../../files/solved-layers.js';

/** The newest row of every layer of an assembled point. */
export function ledger(assignment: Pick<Assignment, 'finished'>, point: number): LayerRow[] {
  const rows = new Map<number, LayerRow>();
  for (const row of finishedOne(assignment, 'inspect').result.layers) rows.set(row.index, row);
  for (const row of pointOf({ ...assignment, point }).layers) rows.set(row.index, row);
  const assembled = finishedOf(assignment, 'assemble').find((task) => task.point === point);
  for (const row of assembled?.result.layers ?? []) rows.set(row.index, row);
  return [...rows.values()].sort((a, b) => a.index - b.index);
}
