import {
  codesOfWeights,
  codeWeights,
  codingOf,
  readyForIntegers,
  withCodes,
  type Model,
  type WeightCode,
  type WeightCodingName,
} from '../../../models/index.js';
import { countedBatches } from '../../../jobs/targets.js';
import type { Assignment } from '../../../jobs/tasks.js';
import { activationBytes, type Calibration } from '../../integers/activation-ranges.js';
import { inputMoments } from '../../integers/input-moments.js';
import { integerNetwork } from '../../integers/integer-network.js';
import { pointOf } from '../../files/solved-layers.js';
import { plannedBits } from '../../files/weight-bits.js';
import type { Network } from '../../network/network.js';
import { seededRandom } from '../../network/random.js';
import type { StepContext } from '../../step.js';

/** Apart from the generators of the other steps. */
const STREAM = 0xc0de;

/** A network with coded weights. */
export interface CodedNetwork {
  model: Model;
  /** Where they are entries of tables, which may be changed. */
  codes: readonly WeightCode[] | null;
}

/** The compressed network with its weights coded; null where they stay float32. */
export async function codeNetwork(
  assignment: Pick<Assignment, 'spec' | 'finished' | 'point'>,
  { compressed, coding }: { compressed: Model; coding: WeightCodingName },
  network: Calibration & Pick<Network, 'layers'>,
  { threads, signal, limits }: Pick<StepContext, 'threads' | 'signal' | 'limits'>,
): Promise<CodedNetwork | null> {
  const { spec } = assignment;
  const { weights, seed } = spec.method;
  const point = pointOf(assignment);
  const { coder, weighted, integers } = codingOf(coding);
  if (coder === null) return null;
  const ready = integers ? readyForIntegers(compressed) : compressed;
  const { energies, means } = weighted
    ? await inputMoments(ready, network, threads, signal)
    : { energies: new Map<string, Float32Array>(), means: new Map<string, Float32Array>() };
  const random = (tensor: number) => seededRandom(seed, STREAM, tensor);
  if (coder === 'codebook') {
    const { bits } = point;
    const way = bits === undefined ? { bits: weights.bits } : plannedBits(ready, network.layers, bits);
    const codes = codesOfWeights(ready, way, { energies, random });
    return { model: withCodes(ready, codes), codes };
  }
  const bytes = activationBytes(limits);
  // Layers that do not compute with integers have their weights as integers at least.
  const batches = countedBatches(point.target, spec.benchmark.batch_sizes);
  const fasterAt = { batches, threads: spec.benchmark.threads ?? threads };
  const timed = weights.integer_layers === 'faster' ? { fasterAt } : {};
  const model = integers
    ? await integerNetwork(ready, network, { energies, means, bytes, threads, signal, ...timed })
    : ready;
  return { model: codeWeights(model, { coding: coder, bits: weights.bits }, { energies, random }), codes: null };
}
