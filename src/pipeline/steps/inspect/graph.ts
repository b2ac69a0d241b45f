import type { NetworkNode } from '../../../jobs/tasks.js';
import { operatorOf, usesOf, type Layer } from '../../../models/index.js';
import type { Network } from '../../network/network.js';

/** A drawing of more is of no use, and the result of the step is read by every later one. */
const MOST_NODES = 1_000;

/** What is computed from what, for people to look at; null where that is too much. */
export function graphOf({ prepared }: Pick<Network, 'prepared'>, layers: readonly Layer[]): NetworkNode[] | null {
  // A constant is a value, not a step of the computation.
  const nodes = prepared.graph.node.filter((node) => operatorOf(node) !== 'Constant');
  if (nodes.length > MOST_NODES) return null;
  const makerOf = new Map(nodes.flatMap(({ output }, index) => output.map((name) => [name, index] as const)));
  const layerOf = new Map(
    layers.flatMap((layer, index) => usesOf(layer).map(({ output }) => [output, index] as const)),
  );
  return nodes.map((node) => ({
    name: node.name === undefined || node.name === '' ? (node.output[0] ?? '') : node.name,
    op: operatorOf(node),
    inputs: node.input.flatMap((name) => {
      const maker = makerOf.get(name);
      return maker === undefined ? [] : [maker];
    }),
    layer: node.output.map((name) => layerOf.get(name)).find((index) => index !== undefined) ?? null,
  }));
}
