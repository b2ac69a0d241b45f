import type { Point } from './measure.js';

export const columnsFor = (batches: readonly number[]): string[] => [
  'method',
  'asked',
  'parameters',
  'MACs',
  'bytes',
  ...batches.map((batch) => `speed at batch ${String(batch)}`),
  'relative error',
  'agreement %',
  'accuracy %',
  'points lost',
  'task',
  's',
];

const times = (ratio: number | null): string => (ratio === null ? '-' : `${ratio.toFixed(2)}x`);
const percent = (share: number | null | undefined): string => (share == null ? '-' : (100 * share).toFixed(2));

export function rowOf(
  { method, asked, missed, seconds, reason, measured }: Point,
  batches: readonly number[],
): string[] {
  if (measured === undefined) return [method, asked, reason ?? '', ...Array<string>(7 + batches.length + 1).fill('')];
  const { parameters, macs, bytes, speed, error, agreement, accuracy, task } = measured;
  return [
    method,
    missed === true ? `${asked}, not reached` : asked,
    ...[parameters, macs, bytes].map(times),
    ...batches.map((batch) => {
      const found = speed.find((s) => s.batch === batch);
      if (found === undefined) return '-';
      const [low, high] = found.range;
      return `${times(found.ratio)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
    }),
    error.toFixed(4),
    percent(agreement),
    percent(accuracy?.after),
    accuracy === null ? '-' : (100 * (accuracy.before - accuracy.after)).toFixed(2),
    ['accuracy', 'agreement', 'error'].includes(task.kind) ? '' : task.text,
    (seconds ?? NaN).toFixed(0),
  ];
}
