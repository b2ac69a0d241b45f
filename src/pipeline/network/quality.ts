import type { Dataset } from '../../datasets/index.js';
import type { Metrics, MeasuredOn } from '../../jobs/results.js';
import type { Spec } from '../../jobs/spec.js';
import { targetsOf } from '../../jobs/points.js';
import { targetOf, wishOf } from '../../jobs/targets.js';
import type { Assignment } from '../../jobs/tasks.js';
import type { Model } from '../../models/index.js';
import type { StepContext } from '../step.js';
import { breakdownOf } from './breakdown.js';
import { BATCH, compareModels } from './compare/compare.js';
import { halves, toMeasure } from './held-out.js';
import { openSamples, type Network } from './network.js';

export type Quality = Pick<Metrics, 'accuracy' | 'fidelity'>;

/** What a network may lose. */
export interface Bounds {
  max_accuracy_drop?: number;
  min_agreement?: number;
  max_relative_error?: number;
}

/** What is asked of the outputs: by a target of its own, or beside one. */
export function boundsOf({ target, constraints }: Pick<Spec, 'target' | 'constraints'>): Bounds {
  const { max_accuracy_drop, min_agreement, max_relative_error } = { ...constraints, ...(target as Bounds) };
  return {
    ...(max_accuracy_drop === undefined ? {} : { max_accuracy_drop }),
    ...(min_agreement === undefined ? {} : { min_agreement }),
    ...(max_relative_error === undefined ? {} : { max_relative_error }),
  };
}

/** Whether the most compressed network within bounds is asked for. */
export const asksForQuality = ({ target }: Pick<Spec, 'target'>): boolean => targetOf(wishOf(target).name).quality;

/** 1e-9: counts of samples are compared as shares. */
const ROUNDING = 1e-9;

export function within(bounds: Bounds, { accuracy, fidelity }: Quality): boolean {
  const { max_accuracy_drop: drop, min_agreement: agreement, max_relative_error: error } = bounds;
  return (
    (drop === undefined || (accuracy !== null && accuracy.drop <= drop + ROUNDING)) &&
    (agreement === undefined ||
      (fidelity.top1_agreement !== null && fidelity.top1_agreement >= agreement - ROUNDING)) &&
    (error === undefined || fidelity.relative_error <= error + ROUNDING)
  );
}

/**
 * The samples that a plan is searched on, and those that it is held against afterwards, which the search does not see.
 * Of evaluation data a half each; without it the samples that layers are fitted on, and the calibration samples that
 * are held out.
 */
export interface QualityData {
  search: Dataset;
  unseen: Dataset;
  on: MeasuredOn;
  close(): Promise<void>;
}

export async function openQualityData(
  assignment: Assignment,
  network: Pick<Network, 'original' | 'calibration' | 'fixedBatch'>,
  context: StepContext,
): Promise<QualityData> {
  const { evaluation, calibration } = assignment.inputs;
  const [key, what] = evaluation === null ? [calibration.key, 'calibration'] : [evaluation.key, 'evaluation'];
  const sent = await openSamples(context, network.original, key, what);
  const close = () => sent.close();
  if (evaluation === null) {
    const { data, on } = toMeasure(sent, assignment, network.fixedBatch);
    return { search: network.calibration, unseen: data, on, close };
  }
  const { search, unseen } = halves(sent.count);
  const data = sent.subset(unseen);
  return { search: sent.subset(search), unseen: data, on: { data: 'evaluation', samples: data.count }, close };
}

/** What the first output holds, where the client says it: who asks for the same answers has classes. */
export function askedAnswers(spec: Pick<Spec, 'answers' | 'target' | 'targets' | 'constraints'>): Spec['answers'] {
  if (spec.answers !== undefined) return spec.answers;
  const asks = targetsOf(spec).some((target) => {
    const { min_agreement: agreement, max_accuracy_drop: drop } = boundsOf({ ...spec, target });
    return agreement !== undefined || drop !== undefined;
  });
  return asks ? 'classes' : undefined;
}

/** Accuracy and fidelity of a compressed network. @param context answers: as the client says */
export async function qualityOf(
  original: Model,
  compressed: Model,
  data: Dataset,
  { answers, ...context }: Pick<StepContext, 'threads' | 'signal'> & { answers: Spec['answers'] },
): Promise<Quality> {
  const options = { context, answers, batch: BATCH, progress: () => undefined };
  try {
    const [quality] = await compareModels(original, [compressed], data, options);
    if (quality === undefined) throw new RangeError('no network was compared');
    return quality;
  } catch (error) {
    // A network whose outputs overflow keeps nothing.
    if (breakdownOf(error) === null) throw error;
    return { accuracy: null, fidelity: { top1_agreement: null, relative_error: Infinity, samples: data.count } };
  }
}

/** Of both parts of the data. */
export function together(a: Quality, b: Quality): Quality {
  const mean = (of: (quality: Quality) => number | null, weight: (quality: Quality) => number) => {
    const [x, y] = [of(a), of(b)];
    return x === null || y === null ? (x ?? y) : (x * weight(a) + y * weight(b)) / (weight(a) + weight(b));
  };
  const labelled = ({ accuracy }: Quality) => accuracy?.samples ?? 0;
  const samples = ({ fidelity }: Quality) => fidelity.samples;
  const [before, after] = [
    mean(({ accuracy }) => accuracy?.before ?? null, labelled),
    mean(({ accuracy }) => accuracy?.after ?? null, labelled),
  ];
  return {
    accuracy:
      before === null || after === null
        ? null
        : { before, after, drop: before - after, samples: labelled(a) + labelled(b) },
    fidelity: {
      top1_agreement: mean(({ fidelity }) => fidelity.top1_agreement, samples),
      relative_error: mean(({ fidelity }) => fidelity.relative_error, samples) ?? 0,
      samples: samples(a) + samples(b),
    },
  };
}
