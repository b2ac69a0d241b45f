import { layerOfTensors, type Layer, type Model, type WeightBits, type WeightCoding } from '../../models/index.js';

/** Of layers that cannot be compressed, which are no part of a plan. */
const BITS_OF_OTHERS = 8;

/**
 * How many bits the weights of a network have, from what was planned for its layers: what compression made of a layer has its name.
 * @param layers of the original network, by their places in it
 */
export function plannedBits(
  model: Model,
  layers: readonly Pick<Layer, 'name'>[],
  bits: Readonly<Record<number, WeightBits>>,
): Pick<WeightCoding, 'bits' | 'bitsOf'> {
  const owners = layerOfTensors(
    model,
    layers.map(({ name }) => name),
  );
  const places = new Map(layers.map(({ name }, i) => [name, i]));
  return { bits: BITS_OF_OTHERS, bitsOf: (weight) => bits[places.get(owners.get(weight) ?? '') ?? -1] };
}
