import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { StepContext } from '../../src/pipeline/index.js';
import { BEAT_MS, withSteadyProgress } from '../../src/pipeline/steady-progress.js';

const contextOf = (progress: (fraction: number) => void) => ({ progress }) as unknown as StepContext;

describe('progress of a step', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('never falls, stays within 0 and 1, and is never no number', async () => {
    const told: number[] = [];
    await withSteadyProgress(
      contextOf((fraction) => told.push(fraction)),
      async ({ progress }) => {
        for (const fraction of [0.2, 0.5, 0.3, NaN, 0.6, 1.2]) progress(fraction);
        await Promise.resolve();
      },
    );
    expect(told).toEqual([0.2, 0.5, 0.5, 0.6, 1]);
  });

  it('is told again, within five seconds, while a piece of work takes long, until the step ends', async () => {
    expect(BEAT_MS).toBeLessThan(5000);
    const told: number[] = [];
    const step = async ({ progress }: StepContext) => {
      progress(0.4);
      await vi.advanceTimersByTimeAsync(3 * BEAT_MS);
      throw new Error('the end');
    };
    const context = contextOf((fraction) => told.push(fraction));
    await expect(withSteadyProgress(context, step)).rejects.toThrow('the end');
    expect(told).toEqual([0.4, 0.4, 0.4, 0.4]);
    await vi.advanceTimersByTimeAsync(3 * BEAT_MS);
    expect(told).toHaveLength(4);
  });
});
