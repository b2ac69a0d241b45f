import type { Warning } from '../../../jobs/results.js';
import { count, percent } from '../../../jobs/words.js';
import { layersInside, numbersInside, type Model } from '../../../models/index.js';

const NAMED = 5;

/** Layers that no row is about, because no step looks into branches and bodies. They count in all sums of parameters. */
export function layersInBranches({ graph }: Pick<Model, 'graph'>, parameters: number): Warning[] {
  const inside = layersInside(graph);
  if (inside.length === 0) return [];
  const holders = [...new Set(inside.map(({ holder }) => holder))].join(' and ');
  const names = inside.slice(0, NAMED).map(({ name }) => name);
  const more = inside.length > NAMED ? ` and ${String(inside.length - NAMED)} more` : '';
  const numbers = numbersInside(inside);
  const cause = `${inside.length === 1 ? 'a layer lies' : `${String(inside.length)} layers lie`} in the branches or the body of ${holders} and ${inside.length === 1 ? 'stays' : 'stay'} as ${inside.length === 1 ? 'it is' : 'they are'}, with ${count(numbers)} parameters, ${percent(numbers / parameters)} of the network's: ${names.join(', ')}${more}`;
  const next = 'export the branch that is used, as a model of its own';
  return [{ code: 'layers_in_branches', cause, next }];
}
