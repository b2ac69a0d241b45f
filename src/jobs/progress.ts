import { USUAL_EFFORT, type Spec } from './spec.js';
import { PHASES, type Phase } from './tasks.js';

/** Below this the estimate of the rest is noise. */
const MIN_FRACTION_FOR_ETA = 0.03;

/** Of the running time of a job; in any unit. */
export type PhaseShares = Readonly<Record<Phase, number>>;

/**
 * Relative running time per phase, from the timings of the sample networks, until the inspection tells what is expected
 * of this job; only the shown progress depends on it. Further points of the trade-off curve share what comes before the
 * solves, and the original's part of the evaluation.
 */
const QUICK = {
  first: { inspect: 0.3, plan: 0.01, layers: 0.37, assemble: 0.15, evaluate: 0.17 },
  further: { inspect: 0, plan: 0.01, layers: 0.3, assemble: 0.15, evaluate: 0.1 },
};
/** With distillation, which is minutes of `assemble` for every point. */
const DISTILLED: typeof QUICK = {
  first: { ...QUICK.first, assemble: 3 },
  further: { ...QUICK.further, assemble: 3 },
};

/** @param points targets of the job */
export function usualShares(points: number, effort: Spec['effort'] = USUAL_EFFORT): PhaseShares {
  const { first, further } = effort === 'quick' ? QUICK : DISTILLED;
  const share = (phase: Phase) => first[phase] + (points - 1) * further[phase];
  return {
    inspect: share('inspect'),
    plan: share('plan'),
    layers: share('layers'),
    assemble: share('assemble'),
    evaluate: share('evaluate'),
  };
}

/** What the shares of a job follow from, as the database has it. */
export interface SharesSource {
  /** Targets of the job. */
  targets: number;
  effort: Spec['effort'] | null;
  /** By its inspection; null until that is done. */
  expected: PhaseShares | null;
}

export const sharesOf = ({ expected, targets, effort }: SharesSource): PhaseShares =>
  expected ?? usualShares(targets, effort ?? undefined);

export interface PhaseProgress {
  phase: Phase;
  /** Finished tasks of the phase plus the fractions of those that run. */
  done: number;
  /** Tasks of the phase. */
  total: number;
  /** What is expected of this job. */
  shares: PhaseShares;
}

/** 0..1 over the whole job. */
export function jobFraction({ phase, done, total, shares }: PhaseProgress): number {
  const sum = (names: readonly Phase[]) => names.reduce((whole, name) => whole + shares[name], 0);
  const within = total === 0 ? 0 : Math.min(1, Math.max(0, done / total));
  const before = sum(PHASES.slice(0, PHASES.indexOf(phase)));
  return Math.min(1, (before + shares[phase] * within) / sum(PHASES));
}

/** The part of a job that a phase is: where it begins, and how long it is. */
export function phaseSpan(phase: Phase, shares: PhaseShares): { base: number; span: number } {
  const base = jobFraction({ phase, done: 0, total: 1, shares });
  return { base, span: jobFraction({ phase, done: 1, total: 1, shares }) - base };
}

/** Seconds to the end, extrapolated from the seconds in which the job ran (never from those in which it waited). */
export function etaSeconds(fraction: number, runningSeconds: number): number | null {
  if (fraction < MIN_FRACTION_FOR_ETA || fraction >= 1) return null;
  return (runningSeconds * (1 - fraction)) / fraction;
}
