import type { Metrics, Warning } from '../../../jobs/results.js';
import { errorText, intervalText } from '../../../jobs/words.js';

/** Of answers: below this share most uses of a classifier notice. */
const LEAST_AGREEMENT = 0.9;
/** Of outputs without answers, in units of their deviation. */
const LARGEST_ERROR = 0.25;
/** So near the original another largest entry was as large: landmarks and other numbers in a row look like classes. */
const SMALLEST_ERROR = 0.02;
/** Fewer samples measured leave agreement and error uncertain. */
const FEW = 50;

/** Whether most uses notice that outputs are not the original's. */
export const hasMoved = ({ top1_agreement: agreement, relative_error: error }: Metrics['fidelity']): boolean =>
  agreement === null ? error > LARGEST_ERROR : agreement < LEAST_AGREEMENT && error > SMALLEST_ERROR;

/** What a reader of the numbers should know besides the verdict, also where it is passed. */
export function warningsOf(metrics: Omit<Metrics, 'seconds'>): Warning[] {
  const { fidelity, measured_on: on, latency, bytes } = metrics;
  const { top1_agreement: agreement, relative_error: error } = fidelity;
  const warnings: Warning[] = [];
  if (hasMoved(fidelity)) {
    const cause =
      agreement === null
        ? `the outputs lie ${error.toFixed(2)} of their deviation away from the original's`
        : `${(100 * (1 - agreement)).toFixed(1)} % of the answers are not the original's`;
    const more = metrics.not_distilled === 'beyond_effort' ? 'give it more effort, ' : '';
    const next = `${more}ask for a smaller ratio, or send more and more various calibration samples; ${agreement === null ? 'constraints.max_relative_error' : 'constraints.min_agreement'} holds a job to what you can bear`;
    warnings.push({ code: 'outputs_moved', cause, next });
  }
  // As far as the measurement can tell: the interval ends below 1.
  const slower = latency.filter(({ speedup_ci95: [, high] }) => high !== undefined && high < 1);
  if (slower.length > 0) {
    const times = slower.map(({ batch, speedup }) => `${speedup.toFixed(2)}x at batch ${String(batch)}`).join(', ');
    const cause = `the network is slower than the original: ${times}`;
    const next = 'it is only smaller; ask for a speedup, or leave out the layers whose rows say that they are slower';
    warnings.push({ code: 'slower', cause, next });
  }
  if (bytes.ratio < 1) {
    const cause = `the file has ${String(bytes.after)} bytes, the one that was sent ${String(bytes.before)}: its weights had fewer bits`;
    const next = 'ask for coded weights (method.weights), as uint8 or float16';
    warnings.push({ code: 'larger_file', cause, next });
  }
  if (fidelity.answers?.known_by === 'assumed') {
    const { are } = fidelity.answers;
    const cause = `whether the first output holds classes or other numbers is not known, as it has no softmax and the data no labels; by its values it was taken for ${are}`;
    const next = `say what it holds (answers: classes or numbers)${are === 'classes' ? '; if it is other numbers, agreement says nothing' : '; if it is classes, the agreement is reported'}`;
    warnings.push({ code: 'answers_assumed', cause, next });
  }
  if (on === undefined) return warnings;
  if (on.data === 'calibration') {
    const cause = `the numbers are of the ${String(on.samples)} samples that layers were fitted on: new data fares worse`;
    warnings.push({ code: 'measured_on_fitted', cause, next: 'send evaluation data, or more calibration samples' });
  } else if (on.samples < FEW) {
    const interval = intervalText(fidelity.relative_error_ci95, errorText);
    const cause = `agreement and error were measured on ${String(on.samples)} samples only: error ${errorText(error)}${interval === '' ? '' : `, ${interval}`}`;
    const next = 'send evaluation data (labels are not needed), or more calibration samples';
    warnings.push({ code: 'few_samples', cause, next });
  }
  return warnings;
}
