import { layerOfTensors, type Layer, type Model, type WeightBits } from '../../models/index.js';

/**
 * Bits by the tensor of weights, from bits by layer: what compression made of a layer has its name. Layers that cannot be compressed
 * have none.
 * @param layers of the original network, by their places in it
 */
export function bitsOfTensors(
  model: Model,
  layers: readonly Pick<Layer, 'name'>[],
  bits: Readonly<Record<number, WeightBits>>,
): (weight: string) => WeightBits | undefined {
  const owners = layerOfTensors(model, layers.map(({ name }) => name));
  const places = new Map(layers.map(({ name }, i) => [name, i]));
  return (weight) => bits[places.get(owners.get(weight) ?? '') ?? -1];
}
