import { codeWeights, type OnnxModel } from '../models/index.js';
import type { Assignment } from '../jobs/tasks.js';
import { inputEnergies } from './input-energy.js';
import type { Network } from './network.js';
import { seededRandom } from './random.js';
import type { StepContext } from './step.js';

/** Apart from the generators of the other steps. */
const STREAM = 0xc0de;

/** The compressed network with its weights coded as the specification says; null where they stay float32. */
export async function codeNetwork(
  { spec }: Pick<Assignment, 'spec'>,
  compressed: OnnxModel,
  network: Network,
  { threads, signal }: Pick<StepContext, 'threads' | 'signal'>,
): Promise<OnnxModel | null> {
  const { weights, seed } = spec.method;
  if (weights.coding === 'float32') return null;
  const energies =
    weights.coding === 'float16'
      ? new Map<string, Float32Array>()
      : await inputEnergies(compressed, network, threads, signal);
  return codeWeights(compressed, weights, { energies, random: (tensor) => seededRandom(seed, STREAM, tensor) });
}
