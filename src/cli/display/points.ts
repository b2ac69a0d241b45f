import type { Metrics, Point, Verdict } from '../../jobs/results.js';
import type { Target } from '../../jobs/spec.js';
import { errorText, measuredOnText, percent, ratio, tensorflowText } from '../../jobs/words.js';
import { table, totals, warningLine } from './report.js';

/** A curve is worth something when one of its points meets its target and the constraints. */
export const somePasses = (points: readonly Pick<Point, 'verdict'>[]): boolean =>
  points.some(({ verdict }) => verdict?.passed === true);

/** How a job ended, for people: the numbers of its one point, or a line for each of several. */
export function outcome(points: readonly Point[]): string {
  const [first] = points;
  if (points.length > 1 || first === undefined) return pointTable(points);
  return first.metrics === null ? '' : totals(first.metrics, first.verdict);
}

/** The trade-off curve: one line for every point. */
export function pointTable(points: readonly Point[]): string {
  const measured = points.flatMap(({ metrics }) => metrics ?? []);
  const batches = measured[0]?.latency.map(({ batch }) => batch) ?? [];
  const labelled = measured.some(({ accuracy }) => accuracy !== null);
  const classes = measured.length === 0 || measured.some(({ fidelity }) => fidelity.top1_agreement !== null);
  const header = [
    'point',
    'target',
    'parameters',
    'MACs',
    'file',
    ...batches.map((batch) => `batch ${String(batch)}`),
    ...(labelled ? ['accuracy', 'lost'] : [classes ? 'agreement' : 'error']),
    'model',
    'verdict',
  ];
  const rows = points.map(({ point, target, metrics, verdict, model, error }) => {
    const start = [String(point), targetText(target)];
    if (metrics === null)
      return [...start, ...header.slice(start.length, -1).map(() => '-'), error === null ? '-' : error.detail];
    const { parameters, macs, bytes, latency, accuracy, fidelity } = metrics;
    const quality = labelled
      ? [accuracy === null ? '-' : percent(accuracy.after), accuracy === null ? '-' : percent(accuracy.drop)]
      : [fidelityText(fidelity, classes)];
    const sizes = [parameters, macs, bytes].map((of) => ratio(of.ratio));
    return [
      ...start,
      ...sizes,
      ...latency.map(({ speedup }) => ratio(speedup)),
      ...quality,
      model ?? '-',
      verdictText(verdict),
    ];
  });
  const accuracy = measured[0]?.accuracy ?? null;
  const before = accuracy === null ? [] : [`accuracy before: ${percent(accuracy.before)}`];
  const on = measured[0]?.measured_on;
  const told = [...before, ...(on === undefined ? [] : [`measured on ${measuredOnText(on)}`])];
  const warned = points.flatMap(({ point, verdict }) =>
    (verdict?.warnings ?? []).map((warning) => `point ${String(point)}, ${warningLine(warning)}`),
  );
  const there = points.flatMap(({ point, metrics }) =>
    metrics?.tensorflowjs === undefined ? [] : [`point ${String(point)}, ${tensorflowText(metrics.tensorflowjs)}`],
  );
  const below = [...told, ...there, ...warned];
  return [table(header, rows), ...(below.length === 0 ? [] : ['', ...below])].join('\n');
}

/** Agreement, or the error of outputs without classes, with its 95 % interval. */
function fidelityText(fidelity: Metrics['fidelity'], classes: boolean): string {
  const { top1_agreement: agreement, relative_error: error } = fidelity;
  if (classes && agreement === null) return '-';
  const show = classes ? percent : errorText;
  const [low, high] = (classes ? fidelity.top1_agreement_ci95 : fidelity.relative_error_ci95) ?? [];
  const interval = low === undefined || high === undefined ? '' : ` (${show(low)} to ${show(high)})`;
  return `${show(agreement !== null && classes ? agreement : error)}${interval}`;
}

const targetText = (target: Target): string =>
  Object.entries(target)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(' ');

function verdictText(verdict: Verdict | null): string {
  const failed = verdict?.checks.filter(({ passed }) => !passed) ?? [];
  return failed.length === 0 ? 'passed' : `FAILED ${failed.map(({ name }) => name).join(', ')}`;
}
