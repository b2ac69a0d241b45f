import { InputError } from '../../../errors/index.js';
import { writtenFormat } from '../../../jobs/points.js';
import type { Spec } from '../../../jobs/spec.js';
import {
  formatOf,
  NEAR_CODINGS,
  PLAIN_CODING,
  SMALL_CODING_ELSEWHERE,
  weightBytes,
  weightTypeBytes,
  type Model,
  type WeightCodingName,
} from '../../../models/index.js';
import type { Quality } from '../../network/quality.js';

/** What is asked of a network beside its outputs, and need not hold for a less compressed one. */
const RATIOS = ['min_parameter_ratio', 'min_mac_ratio', 'min_speedup'] as const;

/** Whether a network keeps what was asked of its outputs. */
export interface Judged {
  holds: boolean;
  unseen: Quality;
}

/** A network of the ladder with its weights in a coding that was left open. */
export interface SmallerCoded {
  step: number;
  coding: WeightCodingName;
  model: Model;
  unseen: Quality;
}

/** Networks that are ever less compressed, as they are built. */
interface Ladder {
  /** The steps that may take the place of the first, which keeps what was asked with float32 weights. */
  steps: readonly number[];
  attempt: (step: number) => Promise<Model>;
  /** Null where weights stay float32. */
  code: (compressed: Model, coding: WeightCodingName) => Promise<Model | null>;
  judge: (model: Model) => Promise<Judged>;
}

/**
 * The network that holds, with coded weights where it holds with them as well. Where it is at the edge of what was asked, another of the steps,
 * if that is smaller with them than the first is without.
 * @param codings what is tried, in this order
 */
export async function smallerCoded(
  codings: readonly WeightCodingName[],
  { steps: [holding, ...others], attempt, code, judge }: Ladder,
): Promise<SmallerCoded | null> {
  if (codings.length === 0 || holding === undefined) return null;
  const size = weightBytes(await attempt(holding));
  for (const step of [holding, ...others]) {
    for (const coding of codings) {
      try {
        const compressed = await attempt(step);
        if (!mayBeSmaller(compressed, size)) break;
        const model = await code(compressed, coding);
        if (model === null || weightBytes(model) >= size) continue;
        const { holds, unseen } = await judge(model);
        if (holds) return { step, coding, model, unseen };
      } catch (error) {
        // Operators that cannot be raised to the version that integers need, or that the runtime does not take so.
        if (!(error instanceof InputError)) throw error;
      }
    }
  }
  return null;
}

/** A weight becomes one byte. */
const mayBeSmaller = (model: Model, size: number): boolean => weightBytes(model) / weightTypeBytes(model) < size;

/**
 * Of a ladder the steps that may have coded weights: the one that holds, the next one, and the network as it came, where that could be small
 * enough. Only the one that holds where a ratio was asked for beside the outputs.
 */
export function stepsToCode(
  { constraints }: Pick<Spec, 'constraints'>,
  { steps, holding, sizes }: { steps: number; holding: number; sizes: { holding: Model; last: Model } },
): number[] {
  if (RATIOS.some((name) => constraints[name] !== undefined)) return [holding];
  const last = steps - 1;
  const isSmall = mayBeSmaller(sizes.last, weightBytes(sizes.holding));
  const others = [holding + 1, last].filter((step) => step > holding && (step < last || (step === last && isSmall)));
  return [...new Set([holding, ...others])];
}

/** What a client leaves open, the fastest first. */
export function openCodings(spec: Pick<Spec, 'method' | 'output'>, original: Model): WeightCodingName[] {
  const { for_quality: open, coding } = spec.method.weights;
  if (open === undefined || coding !== PLAIN_CODING) return [];
  const { codings } = formatOf(writtenFormat(spec, original.format));
  return codings === undefined ? NEAR_CODINGS : [SMALL_CODING_ELSEWHERE];
}
