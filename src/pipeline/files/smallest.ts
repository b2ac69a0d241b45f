import { beforeSelection, withShortNames, type Model } from '../../models/index.js';

/** A network as it is written where bytes were asked for: with short names, but of the tensors that it is compared with the original by. */
export const smallest = (model: Model, original: Model): Model =>
  withShortNames(
    model,
    original.graph.output.flatMap(({ name }) => beforeSelection(original, name)),
  );
