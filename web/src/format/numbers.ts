const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export const NONE = '–';

export const count = (value: number | null | undefined): string =>
  value === null || value === undefined ? NONE : whole.format(value);

/** 584,170 -> 584.2K */
export const compact = (value: number): string => (Math.abs(value) < 1000 ? whole.format(value) : short.format(value));

export const ratio = (value: number | null | undefined): string =>
  value === null || value === undefined ? NONE : `${value.toFixed(value < 100 ? 2 : 0)}×`;

/** 0.5 -> 2.00× slower */
export const speedInWords = (speedup: number): string =>
  speedup >= 1 ? `${ratio(speedup)} faster` : `${ratio(1 / speedup)} slower`;

/** A part of one as percent. */
export const percent = (value: number | null | undefined, digits = 2): string =>
  value === null || value === undefined ? NONE : `${(value * 100).toFixed(digits)} %`;

/** A change in percentage points, with its sign. */
export function points(change: number): string {
  const text = (change * 100).toFixed(2);
  return `${change > 0 ? '+' : change < 0 ? '−' : '±'}${text.replace('-', '')} pts`;
}

export const milliseconds = (value: number): string =>
  value >= 100 ? `${value.toFixed(0)} ms` : value >= 10 ? `${value.toFixed(1)} ms` : `${value.toFixed(2)} ms`;

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Decimal units, as disks and downloads count. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  let rest = value;
  let unit = 0;
  while (rest >= 999.5 && unit < UNITS.length - 1) {
    rest /= 1000;
    unit++;
  }
  return `${unit === 0 || rest >= 100 ? rest.toFixed(0) : rest.toPrecision(3)} ${UNITS[unit] ?? 'B'}`;
}

export const error = (value: number | null | undefined): string =>
  value === null || value === undefined
    ? NONE
    : value === 0
      ? '0'
      : value < 1e-4
        ? value.toExponential(1)
        : value.toFixed(4);
