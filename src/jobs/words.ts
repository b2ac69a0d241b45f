import type { MeasuredOn } from './results.js';

/** Numbers of a report in words, the same wherever they are shown: in the terminal and on the page. */

const whole = new Intl.NumberFormat('en-US');

export const count = (value: number): string => whole.format(value);
export const ratio = (value: number): string => `${value.toFixed(2)}x`;
export const percent = (value: number): string => `${(value * 100).toFixed(2)} %`;

const MEASURED_ON: Readonly<Record<MeasuredOn['data'], string>> = {
  evaluation: 'samples of the evaluation data',
  held_out: 'calibration samples that were held out',
  calibration: 'calibration samples that layers were fitted on: too few to hold out any',
};

/** What outputs were compared on. */
export const measuredOnText = ({ data, samples }: MeasuredOn): string => `${count(samples)} ${MEASURED_ON[data]}`;
