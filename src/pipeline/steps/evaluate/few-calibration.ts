import type { Dataset } from '../../../datasets/index.js';
import type { Metrics, Warning } from '../../../jobs/results.js';
import type { Model } from '../../../models/index.js';
import { spread } from '../../cost/budgets.js';
import { compareModels, type ComparisonOptions } from '../../network/compare/compare.js';
import { hasMoved } from './warnings.js';

/** So many of the fitted samples are enough to know. */
const MOST_SAMPLES = 64;
/** Of the error on samples that were not fitted: a smaller one on those that were says that they were too few. */
const TELLING = 0.5;

export interface Fitted {
  /** The samples that layers were fitted on. */
  data: Dataset;
  close(): Promise<void>;
}

interface Compared {
  original: Model;
  networks: readonly { model: Model; fidelity: Metrics['fidelity'] }[];
  /** Null where what was fitted is what was measured. */
  openFitted: () => Promise<Fitted | null>;
}

/**
 * For every network whose outputs moved: whether that is for want of calibration samples. Its error on samples that
 * were fitted tells: a network that is too small for what it should do is wrong on both.
 */
export async function fewCalibrationSamples(
  { original, networks, openFitted }: Compared,
  options: ComparisonOptions,
): Promise<Map<Model, Warning>> {
  const moved = networks.filter(({ fidelity }) => hasMoved(fidelity));
  const found = new Map<Model, Warning>();
  const fitted = moved.length === 0 ? null : await openFitted();
  if (fitted === null) return found;
  try {
    const { data } = fitted;
    const some = data.count > MOST_SAMPLES ? data.subset(spread(data.count, MOST_SAMPLES)) : data;
    const models = moved.map(({ model }) => model);
    const comparisons = await compareModels(original, models, some, options);
    for (const [i, { model, fidelity }] of moved.entries()) {
      const own = comparisons[i]?.fidelity.relative_error ?? Infinity;
      if (own > TELLING * fidelity.relative_error) continue;
      const cause = `on calibration samples the outputs lie ${own.toFixed(2)} of their deviation away from the original's, on others ${fidelity.relative_error.toFixed(2)}: ${String(data.count)} samples to fit on are too few, or unlike those`;
      const next = 'send more calibration samples, of all that the network will meet; labels are not needed';
      found.set(model, { code: 'few_calibration_samples', cause, next });
    }
    return found;
  } finally {
    await fitted.close();
  }
}
