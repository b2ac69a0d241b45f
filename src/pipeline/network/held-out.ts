import type { Dataset } from '../../datasets/index.js';
import type { MeasuredOn } from '../../jobs/results.js';
import type { Assignment } from '../../jobs/tasks.js';
import { seededRandom } from './random.js';

/** Apart from the generators of the other steps. */
const STREAM = 0x4e1d;
/** One of so many calibration samples is held out where there is no evaluation data. */
const ONE_OF = 5;
/** Of fewer samples the fit needs all. */
const FEWEST = 10;
/** More tell nothing more. */
const MOST = 1000;
/** A model of a large fixed batch size keeps at least this share of its samples for the fit. */
const LEAST_FITTED = 0.5;

/** Numbers of the calibration samples, ascending. */
export interface Split {
  fit: Uint32Array;
  heldOut: Uint32Array;
}

/**
 * Which calibration samples no fit, choice or stop may look at: a fifth, `MOST` at most, none of fewer than `FEWEST`.
 * They are runs of neighbours, one in every stretch of the set: neighbours are often alike (windows of one recording,
 * images of one class), and a sample whose neighbours were fitted is hardly new, while every stretch should have its
 * say. Depends on count, seed and batch only, so that every step makes the same split.
 *
 * @param fixedBatch of the model: the fit takes whole batches
 */
export function splitSamples(count: number, seed: number, fixedBatch: number | null): Split {
  const batch = fixedBatch ?? 1;
  const wanted = count < FEWEST ? 0 : Math.min(MOST, Math.floor(count / ONE_OF));
  const fitted = count - wanted - ((count - wanted) % batch);
  const held = wanted > 0 && fitted >= LEAST_FITTED * count ? count - fitted : 0;
  const chosen = new Set<number>();
  const random = seededRandom(seed, STREAM);
  const runs = Math.ceil(held / Math.max(1, Math.floor(Math.sqrt(held))));
  for (let run = 0; run < runs; run++) {
    const [begin, end] = [boundary(run, runs, count), boundary(run + 1, runs, count)];
    const length = boundary(run + 1, runs, held) - boundary(run, runs, held);
    const first = begin + Math.floor(random() * (end - begin - length + 1));
    for (let i = 0; i < length; i++) chosen.add(first + i);
  }
  const all = Uint32Array.from({ length: count }, (_, i) => i);
  return { fit: all.filter((i) => !chosen.has(i)), heldOut: all.filter((i) => chosen.has(i)) };
}

const boundary = (part: number, parts: number, length: number): number => Math.floor((part * length) / parts);

/**
 * Two halves of evaluation data, in stretches of neighbours: one to search on, one to hold the result against. Too few
 * to share are both.
 */
export function halves(count: number): { search: Uint32Array; unseen: Uint32Array } {
  const all = Uint32Array.from({ length: count }, (_, i) => i);
  if (count < 2 * FEWEST) return { search: all, unseen: all };
  const stretches = 2 * Math.ceil(Math.sqrt(count) / 2);
  const isUnseen = (i: number) => Math.floor((i * stretches) / count) % 2 === 1;
  return { search: all.filter((i) => !isUnseen(i)), unseen: all.filter(isUnseen) };
}

type Given = Pick<Assignment, 'inputs' | 'spec'>;

/** The samples that layers are fitted on: all, where evaluation data judges them. */
export function toFit(calibration: Dataset, { inputs, spec }: Given, fixedBatch: number | null): Dataset {
  if (inputs.evaluation !== null) return calibration;
  const { fit, heldOut } = splitSamples(calibration.count, spec.method.seed, fixedBatch);
  return heldOut.length === 0 ? calibration : calibration.subset(fit);
}

/**
 * The samples that the compressed network is measured on, and what they are. `data` is the evaluation data if there is
 * any.
 */
export function toMeasure(
  data: Dataset,
  { inputs, spec }: Given,
  fixedBatch: number | null,
): { data: Dataset; on: MeasuredOn } {
  const told = (data: Dataset, kind: MeasuredOn['data']) => ({ data, on: { data: kind, samples: data.count } });
  if (inputs.evaluation !== null) return told(data, 'evaluation');
  const { heldOut } = splitSamples(data.count, spec.method.seed, fixedBatch);
  return heldOut.length === 0 ? told(data, 'calibration') : told(data.subset(heldOut), 'held_out');
}
