import { count } from '../../../../jobs/words.js';

export const milliseconds = (value: number): string => `${value < 10 ? value.toFixed(2) : value.toFixed(1)} ms`;

const UNITS = ['bytes', 'kB', 'MB', 'GB'];
export function bytes(value: number): string {
  const step = value < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(value) / 3));
  return `${step === 0 ? count(value) : (value / 1000 ** step).toFixed(2)} ${UNITS[step] ?? ''}`;
}
