import type { Check, Metrics, Warning } from '../../../jobs/results.js';
import { NORMAL_95, wilson, type Interval } from '../../network/intervals.js';

/**
 * A warning for every check whose limit lies within the uncertainty of the measurement: an equal job may be judged
 * otherwise.
 */
export function nearEdge(checks: readonly Check[], metrics: Omit<Metrics, 'seconds'>): Warning[] {
  return checks.flatMap(({ name, required, passed, measured }) => {
    const uncertain = intervalOf(name, metrics);
    if (uncertain === null || measured === null) return [];
    const [low, high] = uncertain;
    if (required < low || required > high) return [];
    const range = `${low.toFixed(3)} to ${high.toFixed(3)}`;
    return [
      {
        code: 'near_edge' as const,
        cause: `${name} ${String(required)} is ${passed ? 'just passed' : 'just missed'}: measured ${measured.toFixed(3)}, in 95 of 100 cases ${range}`,
        next: name.includes('speedup')
          ? 'measure on a quiet machine, or ask for a little more than is needed'
          : 'send more evaluation data, or ask for a little more than is needed',
      },
    ];
  });
}

/** Where 95 of 100 equal measurements lie; null of what is counted and not measured. */
function intervalOf(name: string, { latency, fidelity, accuracy }: Omit<Metrics, 'seconds'>): Interval | null {
  switch (name.slice(name.indexOf('.') + 1)) {
    case 'speedup':
    case 'min_speedup':
      return ends(latency[0]?.speedup_ci95);
    case 'min_agreement': {
      const { top1_agreement: share, top1_agreement_ci95: interval, samples } = fidelity;
      return share === null ? null : (ends(interval) ?? wilson(share, samples));
    }
    case 'max_relative_error':
      return ends(fidelity.relative_error_ci95);
    case 'max_accuracy_drop': {
      if (accuracy === null) return null;
      // A sample whose answer changed is won or lost; at most so many changed, at least as many as the drop says.
      const changed = Math.max(1 - (fidelity.top1_agreement ?? 1), Math.abs(accuracy.drop));
      const error = NORMAL_95 * Math.sqrt(Math.max(0, changed - accuracy.drop ** 2) / accuracy.samples);
      return [accuracy.drop - error, accuracy.drop + error];
    }
    default:
      return null;
  }
}

const ends = ([low, high]: readonly number[] = []): Interval | null =>
  low === undefined || high === undefined ? null : [low, high];
