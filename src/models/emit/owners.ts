import type { Model } from '../ir/model.js';
import { weightedNodes } from '../graph/weighted-nodes.js';

/**
 * The layer of the original network that a tensor of weights belongs to: the node that reads it has the layer's name, or, where it is
 * one of several that compression made of the layer, begins with it.
 * @param layers their names
 * @returns by name of the tensor
 */
export function layerOfTensors(model: Model, layers: readonly string[]): Map<string, string> {
  const known = new Set(layers);
  const ownerOf = (node: string): string | undefined => {
    if (known.has(node)) return node;
    for (let end = node.lastIndexOf('/'); end > 0; end = node.lastIndexOf('/', end - 1)) {
      const name = node.slice(0, end);
      if (known.has(name)) return name;
    }
    return undefined;
  };
  return new Map(
    weightedNodes(model).flatMap(({ name, weight }): [string, string][] => {
      const owner = ownerOf(name);
      return weight === null || owner === undefined ? [] : [[weight.name, owner]];
    }),
  );
}
