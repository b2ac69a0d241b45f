import { nameIn, rewrite, Runner, usesOf, type Layer, type Replacement, type Samples } from '../../../models/index.js';
import type { Network } from '../../network/network.js';
import { firstBad } from '../../network/non-finite.js';

/** The first replaced layer whose response is no number in the network of these replacements, or null. */
export async function overflowing(
  network: Network,
  replacements: ReadonlyMap<string, Replacement>,
  images: Samples,
  threads: number,
): Promise<string | null> {
  const replaced = network.layers.filter(({ name }) => replacements.has(name));
  const model = rewrite(network.prepared, replacements);
  const outputsOf = (layer: Layer) => usesOf(layer).map(({ output }) => nameIn(model, output));
  const capture = replaced.flatMap(outputsOf);
  const runner = await Runner.open(model, { threads, capture });
  try {
    const values = await runner.run(images);
    return replaced.find((layer) => firstBad(values, outputsOf(layer)) !== null)?.name ?? null;
  } finally {
    await runner.release();
  }
}
