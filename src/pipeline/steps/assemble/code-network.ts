import { codeWeights, type OnnxModel } from '../../../models/index.js';
import type { Assignment } from '../../../jobs/tasks.js';
import type { Calibration } from './activation-ranges.js';
import { inputEnergies } from './input-energy.js';
import { integerNetwork } from './integer-network.js';
import { seededRandom } from '../../network/random.js';
import type { StepContext } from '../../step.js';

/** Apart from the generators of the other steps. */
const STREAM = 0xc0de;
/** Of the memory for one layer, what the activations of one run may take. */
const SHARE = 0.25;

/** The compressed network with its weights coded as the specification says; null where they stay float32. */
export async function codeNetwork(
  { spec }: Pick<Assignment, 'spec'>,
  compressed: OnnxModel,
  network: Calibration,
  { threads, signal, limits }: Pick<StepContext, 'threads' | 'signal' | 'limits'>,
): Promise<OnnxModel | null> {
  const { weights, seed } = spec.method;
  if (weights.coding === 'float32') return null;
  const energies =
    weights.coding === 'float16'
      ? new Map<string, Float32Array>()
      : await inputEnergies(compressed, network, threads, signal);
  const random = (tensor: number) => seededRandom(seed, STREAM, tensor);
  if (weights.coding !== 'static_int8')
    return codeWeights(compressed, { coding: weights.coding, bits: weights.bits }, { energies, random });
  const bytes = limits.layerMemoryBytes * SHARE;
  const integers = await integerNetwork(compressed, network, { energies, bytes, threads, signal });
  // Layers that stay float32 have their weights as integers at least.
  return codeWeights(integers, { coding: 'int8', bits: weights.bits }, { energies, random });
}
