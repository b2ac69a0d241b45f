import type { LayerRow } from '../../jobs/results.js';
import type { Assignment } from '../../jobs/tasks.js';
import type { ListedLayers } from '../../models/index.js';
import { finishedOf } from '../files/finished.js';

/**
 * The layers by the numbers that the inspection gave them. A worker of an earlier version listed every node with shared
 * weights by itself: such a row stays dense, as it was told.
 */
export function asInspected<T extends ListedLayers>(
  listed: T,
  { finished = [] }: Partial<Pick<Assignment, 'finished'>>,
): T {
  const rows: readonly LayerRow[] = finishedOf({ finished }, 'inspect')[0]?.result.layers ?? [];
  const { layers } = listed;
  if (rows.length === 0 || rows.every(({ name }, i) => layers[i]?.name === name)) return listed;
  const known = new Map(layers.flatMap((layer) => (layer.uses ?? [layer]).map(({ name }) => [name, layer] as const)));
  const inOrder = rows.map(({ name, reason }) => {
    const layer = known.get(name);
    if (layer === undefined) throw new RangeError(`the network has no layer ${name}`);
    return layer.name === name ? layer : { ...layer, name, blocked: reason ?? 'a use of another layer' };
  });
  return { ...listed, layers: inOrder };
}
