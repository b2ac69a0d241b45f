import type { StepContext } from './step.js';

/** A step that is alive says so at least this often, also where a single piece of work takes longer. */
export const BEAT_MS = 2000;

/**
 * Runs a step whose progress never falls and is told again while nothing new is known: a step that is silent for longer
 * than a few beats hangs. Parts of steps go through their own shares in any order (a part that is done again starts
 * anew); the client sees the most that was reached.
 */
export async function withSteadyProgress<T>(
  context: StepContext,
  run: (context: StepContext) => Promise<T>,
): Promise<T> {
  let reached = 0;
  const timer = setInterval(() => context.progress(reached), BEAT_MS);
  timer.unref();
  try {
    return await run({
      ...context,
      progress: (fraction) => {
        if (Number.isNaN(fraction)) return;
        reached = Math.max(reached, Math.min(1, fraction));
        context.progress(reached);
      },
    });
  } finally {
    clearInterval(timer);
  }
}
