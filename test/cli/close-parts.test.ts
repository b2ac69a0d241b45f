import { afterEach, expect, test, vi } from 'vitest';
import { closeParts, type Closer } from '../../src/service/close-parts.js';
import { quietLog } from '../support/log.js';

afterEach(() => void vi.useRealTimers());

test('parts are ended in the opposite order, whatever happens to one', async () => {
  const order: string[] = [];
  const part =
    (name: string, end: () => Promise<void> = () => Promise.resolve()): Closer =>
    () => {
      order.push(name);
      return end();
    };
  await closeParts(
    [part('database'), part('worker', () => Promise.reject(new Error('broken'))), part('api')],
    1,
    quietLog,
  );
  expect(order).toEqual(['api', 'worker', 'database']);
});

test('a part that never answers is left behind at the deadline, and the others are ended all the same', async () => {
  let closed = false;
  const started = performance.now();
  await closeParts(
    [
      () => {
        closed = true;
        return Promise.resolve();
      },
      () => new Promise(() => undefined),
    ],
    0.1,
    quietLog,
    100,
  );
  expect(closed).toBe(true);
  expect(performance.now() - started).toBeGreaterThan(190);
});

test('the grace is one for all: what the first used is not there for the second', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const given: number[] = [];
  const slow: Closer = async (grace) => {
    given.push(grace);
    vi.advanceTimersByTime(150);
    await Promise.resolve();
  };
  await closeParts([slow, slow], 0.1, quietLog);
  expect(given[0]).toBeGreaterThan(0.09);
  expect(given[1]).toBe(0);
});
