import { afterEach, describe, expect, it, vi } from 'vitest';
import { measurePaired, quantile } from '../../src/pipeline/latency/latency.js';

afterEach(() => void vi.useRealTimers());

describe('paired latency', () => {
  it('runs both sides equally often, in turn, each behind a run of its own, and swaps their order in every second pair', async () => {
    const order: string[] = [];
    const run = (name: string) => () => Promise.resolve(order.push(name));
    const result = await measurePaired(run('b'), run('a'), { warmup: 1, minRuns: 4, maxRuns: 4, budgetSeconds: 0 });
    expect(order.join('')).toBe('ba' + 'bbaaaabbbbaaaabb');
    expect(result.before).toHaveLength(4);
    expect(result.after).toHaveLength(4);
  });

  it('times networks that use up their time in one run less often', async () => {
    const run = () => Promise.resolve();
    const options = { warmup: 3, minRuns: 15, maxRuns: 20, budgetSeconds: 0, fewestRuns: 5 };
    expect((await measurePaired(run, run, options)).before).toHaveLength(5);
  });

  it('does not repeat runs that are long enough to be on their own', async () => {
    const order: string[] = [];
    const run = (name: string) => async () => {
      order.push(name);
      vi.advanceTimersByTime(12);
    };
    vi.useFakeTimers({ toFake: ['performance'] });
    await measurePaired(run('b'), run('a'), { warmup: 1, minRuns: 2, maxRuns: 2, budgetSeconds: 0 });
    expect(order.join('')).toBe('ba' + 'baab');
  });

  it('stops when asked to', async () => {
    const controller = new AbortController();
    const run = () => Promise.resolve(controller.abort());
    await expect(
      measurePaired(run, run, { warmup: 0, minRuns: 5, maxRuns: 5, budgetSeconds: 1, signal: controller.signal }),
    ).rejects.toThrow();
  });

  it('interpolates quantiles', () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(quantile([1, 2, 3, 4, 5], 0.95)).toBeCloseTo(4.8, 12);
  });
});
