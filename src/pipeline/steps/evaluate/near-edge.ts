import type { Check, Metrics, Warning } from '../../../jobs/results.js';

/** Of a normal distribution, so that 95 of 100 measurements lie within. */
const STANDARD_ERRORS = 1.96;

type Interval = readonly [number, number];

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
    case 'min_speedup': {
      const [low, high] = latency[0]?.speedup_ci95 ?? [];
      return low === undefined || high === undefined ? null : [low, high];
    }
    case 'min_agreement': {
      const { top1_agreement: share, samples } = fidelity;
      return share === null ? null : ofShare(share, samples);
    }
    case 'max_accuracy_drop': {
      if (accuracy === null) return null;
      // A sample whose answer changed is won or lost; at most so many changed, at least as many as the drop says.
      const changed = Math.max(1 - (fidelity.top1_agreement ?? 1), Math.abs(accuracy.drop));
      const error = STANDARD_ERRORS * Math.sqrt(Math.max(0, changed - accuracy.drop ** 2) / accuracy.samples);
      return [accuracy.drop - error, accuracy.drop + error];
    }
    default:
      return null;
  }
}

/** Of a binomial share (Wilson 1927): also right near 0 and 1. */
function ofShare(share: number, samples: number): Interval {
  const z2 = STANDARD_ERRORS ** 2 / samples;
  const center = (share + z2 / 2) / (1 + z2);
  const half = (STANDARD_ERRORS / (1 + z2)) * Math.sqrt((share * (1 - share)) / samples + z2 / (4 * samples));
  return [center - half, center + half];
}
