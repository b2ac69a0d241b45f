import { PHASES, type Phase } from './tasks.js';

/**
 * Relative running time per phase, from the timings of the sample networks; only the shown progress depends on it. Further
 * points of the trade-off curve share what comes before the solves, and the original's part of the evaluation.
 */
const FIRST_POINT: Record<Phase, number> = { inspect: 0.3, plan: 0.01, layers: 0.37, assemble: 0.15, evaluate: 0.17 };
const FURTHER_POINT: Record<Phase, number> = { inspect: 0, plan: 0.01, layers: 0.3, assemble: 0.15, evaluate: 0.1 };

/** Below this the estimate of the rest is noise. */
const MIN_FRACTION_FOR_ETA = 0.03;

/** Of the running time of a job; in any unit. */
export type PhaseShares = Readonly<Record<Phase, number>>;

export interface PhaseProgress {
  phase: Phase;
  /** Finished tasks of the phase plus the fractions of those that run. */
  done: number;
  /** Tasks of the phase. */
  total: number;
  /** Targets of the job. */
  points?: number;
  /** What is expected of this job; default: what is usual. */
  shares?: PhaseShares;
}

/** 0..1 over the whole job. */
export function jobFraction({ phase, done, total, points = 1, shares }: PhaseProgress): number {
  const share = (name: Phase) => shares?.[name] ?? FIRST_POINT[name] + (points - 1) * FURTHER_POINT[name];
  const sum = (names: readonly Phase[]) => names.reduce((whole, name) => whole + share(name), 0);
  const within = total === 0 ? 0 : Math.min(1, Math.max(0, done / total));
  const before = sum(PHASES.slice(0, PHASES.indexOf(phase)));
  return Math.min(1, (before + share(phase) * within) / sum(PHASES));
}

/** The part of a job that a phase is: where it begins, and how long it is. */
export function phaseSpan(phase: Phase, points: number): { base: number; span: number } {
  const base = jobFraction({ phase, done: 0, total: 1, points });
  return { base, span: jobFraction({ phase, done: 1, total: 1, points }) - base };
}

/** Seconds to the end, extrapolated from the seconds in which the job ran (never from those in which it waited). */
export function etaSeconds(fraction: number, runningSeconds: number): number | null {
  if (fraction < MIN_FRACTION_FOR_ETA || fraction >= 1) return null;
  return (runningSeconds * (1 - fraction)) / fraction;
}
