import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startLoop } from '../../src/maintenance/loop.js';
import { quietLog } from '../support/log.js';
import { until } from '../support/until.js';

const NEVER_MS = 60_000;
const TURN_MS = 20;

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

test('a loop that is woken often rests between its turns, and misses no wake', async () => {
  let turns = 0;
  const turn = () => {
    turns++;
    vi.advanceTimersByTime(TURN_MS);
    return Promise.resolve();
  };
  const loop = startLoop('test', turn, {
    intervalMs: NEVER_MS,
    logger: quietLog,
    rest: { turns: 20, mostMs: NEVER_MS },
  });
  // The rest is 20 turns long, whatever they take: many wakes fall into it.
  for (let i = 0; i < 10; i++) {
    loop.wake();
    await new Promise(setImmediate);
  }
  expect(turns).toBe(1);
  await until('the wakes are answered', () => Promise.resolve(turns === 2));
  await loop.close();
  expect(turns).toBe(2);
});

test('closing does not wait for the rest', async () => {
  let turns = 0;
  const turn = () => {
    turns++;
    vi.advanceTimersByTime(TURN_MS);
    return Promise.resolve();
  };
  const loop = startLoop('test', turn, {
    intervalMs: NEVER_MS,
    logger: quietLog,
    rest: { turns: 1e6, mostMs: NEVER_MS },
  });
  await until('it rests', () => Promise.resolve(turns === 1));
  await loop.close();
  expect(turns).toBe(1);
});

test('a failed turn rests too, and the next one comes', async () => {
  let turns = 0;
  const loop = startLoop('test', () => Promise.reject(new Error(`turn ${++turns}`)), {
    intervalMs: 1,
    logger: quietLog,
    rest: {
      turns: 1,
      mostMs: 10,
    },
  });
  await until('it goes on', () => Promise.resolve(turns > 2));
  await loop.close();
});

test('after a turn that found nothing to do it rests as is said for that', async () => {
  const begun: number[] = [];
  let turns = 0;
  const turn = () => {
    begun.push(Date.now());
    vi.advanceTimersByTime(TURN_MS);
    return Promise.resolve(++turns > 1);
  };
  const loop = startLoop('test', turn, {
    intervalMs: 1,
    logger: quietLog,
    rest: { turns: 0, mostMs: 0, idle: { turns: 10, mostMs: 120 } },
  });
  await until('some turns', () => Promise.resolve(turns >= 3));
  await loop.close();
  const [first = 0, second = 0] = begun;
  // A timer of Node may come a millisecond early by the clock of the day.
  expect(second - first).toBeGreaterThanOrEqual(119);
});
