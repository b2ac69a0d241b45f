import type { MeasuredOn, Metrics, WhyNotDistilled } from './results.js';

/** Numbers of a report in words, the same wherever they are shown: in the terminal and on the page. */

const whole = new Intl.NumberFormat('en-US');

export const count = (value: number): string => whole.format(value);
export const ratio = (value: number): string => `${value.toFixed(2)}x`;
export const percent = (value: number): string => `${(value * 100).toFixed(2)} %`;

/** Behind a number: where it would lie for very many samples; nothing where that is not known, as in reports of older versions. */
export function intervalText(interval: readonly number[] | undefined, show: (value: number) => string): string {
  const [low, high] = interval ?? [];
  return low === undefined || high === undefined ? '' : `95 % interval ${show(low)} to ${show(high)}`;
}

/** Of an error of the outputs, whatever its size. */
export const errorText = (value: number): string => value.toFixed(4);

const MEASURED_ON: Readonly<Record<MeasuredOn['data'], string>> = {
  evaluation: 'samples of the evaluation data',
  held_out: 'calibration samples that were held out',
  calibration: 'calibration samples that layers were fitted on: too few to hold out any',
};

/** What outputs were compared on. */
export const measuredOnText = ({ data, samples }: MeasuredOn): string => `${count(samples)} ${MEASURED_ON[data]}`;

const WHY_NOT_DISTILLED: Readonly<Record<WhyNotDistilled, string>> = {
  near: 'the outputs are near enough to those of the original for this effort',
  few_samples: 'fewer than 64 calibration samples',
  beyond_effort: 'a gain would take more work than the effort leaves; a larger effort may bring it',
  operators: 'the network has operators that cannot be differentiated',
};

/** Why layers were not changed together at the end. */
export const whyNotDistilled = (why: WhyNotDistilled): string => WHY_NOT_DISTILLED[why];

/** What TensorFlow.js itself gave, in a line. */
export function tensorflowText({ backend, version, latency, fidelity }: NonNullable<Metrics['tensorflowjs']>): string {
  const speeds = latency.map(
    ({ batch, before_ms: before, after_ms: after, speedup }) =>
      `batch ${String(batch)} ${before.p50.toFixed(2)} -> ${after.p50.toFixed(2)} ms (${ratio(speedup)})`,
  );
  const agreement = fidelity.top1_agreement === null ? '' : `agreement ${percent(fidelity.top1_agreement)}, `;
  const outputs = `${agreement}relative error ${fidelity.relative_error.toFixed(4)} on ${String(fidelity.samples)} samples`;
  return `TensorFlow.js ${version}, backend ${backend}: ${speeds.join(', ')}; ${outputs}`;
}
