import { beforeSelection, withoutDefaults, withShortNames, type Model } from '../../models/index.js';

/**
 * A network as it is written where bytes were asked for: without attributes that hold anyway, and with short names, but of the tensors that it is
 * compared with the original by.
 */
export const smallest = (model: Model, original: Model): Model =>
  withShortNames(
    withoutDefaults(model),
    original.graph.output.flatMap(({ name }) => beforeSelection(original, name)),
  );
