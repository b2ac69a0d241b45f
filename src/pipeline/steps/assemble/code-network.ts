import { codeWeights, codingOf, readyForIntegers, type Model } from '../../../models/index.js';
import type { Assignment } from '../../../jobs/tasks.js';
import { activationBytes, type Calibration } from '../../integers/activation-ranges.js';
import { inputMoments } from '../../integers/input-moments.js';
import { integerNetwork } from '../../integers/integer-network.js';
import { pointCoding } from '../../files/solved-layers.js';
import { seededRandom } from '../../network/random.js';
import type { StepContext } from '../../step.js';

/** Apart from the generators of the other steps. */
const STREAM = 0xc0de;

/** The compressed network with its weights coded as the point has it; null where they stay float32. */
export async function codeNetwork(
  assignment: Pick<Assignment, 'spec' | 'finished' | 'point'>,
  compressed: Model,
  network: Calibration,
  { threads, signal, limits }: Pick<StepContext, 'threads' | 'signal' | 'limits'>,
): Promise<Model | null> {
  const { spec } = assignment;
  const { weights, seed } = spec.method;
  const { coder, weighted, integers } = codingOf(pointCoding(assignment));
  if (coder === null) return null;
  const ready = integers ? readyForIntegers(compressed) : compressed;
  const { energies, means } = weighted
    ? await inputMoments(ready, network, threads, signal)
    : { energies: new Map<string, Float32Array>(), means: new Map<string, Float32Array>() };
  const random = (tensor: number) => seededRandom(seed, STREAM, tensor);
  const bytes = activationBytes(limits);
  // Layers that do not compute with integers have their weights as integers at least.
  const fasterAt = { batches: spec.benchmark.batch_sizes, threads: spec.benchmark.threads ?? threads };
  const timed = weights.integer_layers === 'faster' ? { fasterAt } : {};
  const model = integers
    ? await integerNetwork(ready, network, { energies, means, bytes, threads, signal, ...timed })
    : ready;
  return codeWeights(model, { coding: coder, bits: weights.bits }, { energies, random });
}
