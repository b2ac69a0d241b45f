import type { MeasuredOn } from '../../../../jobs/results.js';

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

export const count = (value: number): string => whole.format(value);
export const ratio = (value: number): string => `${value.toFixed(2)}x`;
export const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;
export const milliseconds = (value: number): string => `${value < 10 ? value.toFixed(2) : value.toFixed(1)} ms`;

const UNITS = ['bytes', 'kB', 'MB', 'GB'];
export function bytes(value: number): string {
  const step = value < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(value) / 3));
  return `${step === 0 ? count(value) : (value / 1000 ** step).toFixed(2)} ${UNITS[step] ?? ''}`;
}

export const MEASURED_ON: Readonly<Record<MeasuredOn['data'], string>> = {
  evaluation: 'samples of the evaluation data',
  held_out: 'calibration samples that nothing was fitted to',
  calibration: 'calibration samples that layers were fitted on, too few to hold out any: new data fares worse',
};
