import type { Value } from '../build/value.js';
import type { LayerContext } from './layer-context.js';

/** The one input of a layer that takes one. */
export function only({ b }: LayerContext, inputs: readonly Value[]): Value {
  const [x] = inputs;
  if (x === undefined || inputs.length > 1)
    throw b.fail(`the layer takes one input and is given ${String(inputs.length)}`);
  return x;
}
