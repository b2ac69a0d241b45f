import { beforeSelection, withShortNames, type Model } from '../../models/index.js';
import type { Network } from '../network/network.js';

/** The network as it is written where bytes were asked for: with short names, but of the tensors that networks are compared by. */
export const smallest = (model: Model, { original }: Pick<Network, 'original'>): Model =>
  withShortNames(
    model,
    original.graph.output.flatMap(({ name }) => beforeSelection(original, name)),
  );
