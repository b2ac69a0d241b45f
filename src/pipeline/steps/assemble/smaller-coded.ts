import { InputError } from '../../../errors/index.js';
import { writtenFormat } from '../../../jobs/points.js';
import type { Assignment } from '../../../jobs/tasks.js';
import {
  formatOf,
  NEAR_CODING_ELSEWHERE,
  NEAR_CODINGS,
  weightBytes,
  type Model,
  type WeightCodingName,
} from '../../../models/index.js';
import type { Quality } from '../../network/quality.js';
import { codeNetwork } from './code-network.js';

/** Four bytes of a weight become one. */
const MOST_SMALLER = 4;

/** A network of the ladder with its weights in a coding that was left open. */
export interface SmallerCoded {
  step: number;
  coding: WeightCodingName;
  model: Model;
  unseen: Quality;
}

/** Networks that are ever less compressed, as they are built. */
interface Ladder {
  steps: number;
  /** The first that keeps what was asked, with float32 weights. */
  holding: number;
  attempt: (step: number) => Promise<Model>;
  code: (compressed: Model, coding: WeightCodingName) => Promise<Model | null>;
  judge: (model: Model) => Promise<{ holds: boolean; unseen: Quality }>;
}

/**
 * The network that holds, with coded weights where it holds with them as well. Where it is at the edge of what was asked, the next one or the
 * network as it came, if that is smaller with them than the first is without.
 * @param codings what is tried, in this order
 */
export async function smallerCoded(
  codings: readonly WeightCodingName[],
  { steps, holding, attempt, code, judge }: Ladder,
): Promise<SmallerCoded | null> {
  if (codings.length === 0) return null;
  const size = weightBytes(await attempt(holding));
  const last = steps - 1;
  for (const step of new Set([holding, Math.min(holding + 1, last), last])) {
    const compressed = await attempt(step);
    if (weightBytes(compressed) >= MOST_SMALLER * size) continue;
    for (const coding of codings) {
      const model = await code(compressed, coding);
      if (model === null || weightBytes(model) >= size) continue;
      const { holds, unseen } = await judge(model);
      if (holds) return { step, coding, model, unseen };
    }
  }
  return null;
}

/** What a client leaves open, the fastest first. */
export function openCodings({ spec }: Pick<Assignment, 'spec'>, original: Model): WeightCodingName[] {
  if (spec.method.weights.for_quality === undefined) return [];
  const { codings } = formatOf(writtenFormat(spec, original.format));
  return codings === undefined ? NEAR_CODINGS : [NEAR_CODING_ELSEWHERE];
}

/** Null where weights stay float32, or the operators of the network cannot be raised to the version that integers need. */
export async function codedOrNull(...of: Parameters<typeof codeNetwork>): Promise<Model | null> {
  try {
    return (await codeNetwork(...of))?.model ?? null;
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}
