import type { Phase } from './tasks.js';

/** Share of a job's running time per phase, from the timings of the sample networks; only the shown progress depends on it. */
const SHARE: Record<Phase, number> = { inspect: 0.3, plan: 0.01, layers: 0.37, assemble: 0.15, evaluate: 0.17 };

/** Below this the estimate of the rest is noise. */
const MIN_FRACTION_FOR_ETA = 0.03;

export interface PhaseProgress {
  phase: Phase;
  /** Finished tasks of the phase plus the fractions of those that run. */
  done: number;
  /** Tasks of the phase. */
  total: number;
}

/** 0..1 over the whole job. */
export function jobFraction({ phase, done, total }: PhaseProgress): number {
  let before = 0;
  for (const [name, share] of Object.entries(SHARE)) {
    if (name === phase) break;
    before += share;
  }
  const within = total === 0 ? 0 : Math.min(1, Math.max(0, done / total));
  return Math.min(1, before + SHARE[phase] * within);
}

/** Seconds to the end, extrapolated from the seconds in which the job ran (never from those in which it waited). */
export function etaSeconds(fraction: number, runningSeconds: number): number | null {
  if (fraction < MIN_FRACTION_FOR_ETA || fraction >= 1) return null;
  return (runningSeconds * (1 - fraction)) / fraction;
}
