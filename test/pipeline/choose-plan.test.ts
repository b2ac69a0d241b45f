import { expect, it } from 'vitest';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';
import { speedupOfBlocks, type Speedup } from '../../src/pipeline/latency/block-interval.js';
import { choosePlan } from '../../src/pipeline/steps/plan/choose-plan.js';

const speed = (ratio: number, width = 0.02): Speedup => ({ ratio, ci95: [ratio - width, ratio + width] });
const plan = (speeds: Speedup[], gains: Speedup[], effect: number) => ({ speeds, gains, effect });
const counted = (speeds: Speedup[]) =>
  plan(
    speeds,
    speeds.map(() => speed(1, 0)),
    0.01,
  );

it('is the counted one where that is not slower, whatever is faster', () => {
  const faster = plan([speed(1.5)], [speed(1.5)], 0.001);
  expect(choosePlan([counted([speed(1.01)]), faster])).toBe(0);
  // Measured as slower, and within what the measurement leaves open.
  expect(choosePlan([counted([speed(0.9, 0.15)]), faster])).toBe(0);
});

it('is another one that is faster by more than its interval, and of those the one that loses least', () => {
  const slow = counted([speed(0.8)]);
  const within = plan([speed(1.05)], [speed(1.2, 0.25)], 0.001);
  const near = plan([speed(1.1)], [speed(1.3)], 0.012);
  const far = plan([speed(1.2)], [speed(1.4)], 0.02);
  expect(choosePlan([slow, within])).toBe(0);
  expect(choosePlan([slow, within, far, near])).toBe(3);
  // Fast enough is enough.
  expect(choosePlan([slow, far])).toBe(1);
});

it('is one that is nowhere slower than the original before one that is', () => {
  const slow = counted([speed(0.8), speed(1.2)]);
  const elsewhere = plan([speed(1.1), speed(0.9)], [speed(1.4), speed(0.7)], 0.011);
  const nowhere = plan([speed(1), speed(1)], [speed(1.3), speed(0.8)], 0.02);
  expect(choosePlan([slow, elsewhere, nowhere])).toBe(2);
});

it('is, where all are slower, the one that loses least of those that cannot be told from the fastest', () => {
  const slow = counted([speed(0.7)]);
  const fastest = plan([speed(0.93)], [speed(1.3)], 0.02);
  const alike = plan([speed(0.92)], [speed(1.28)], 0.012);
  const slower = plan([speed(0.8)], [speed(1.1)], 0.011);
  expect(choosePlan([slow, fastest, alike, slower])).toBe(2);
});

it('is the same in every measurement of plans that take the same time, and loses least', () => {
  const random = seededRandom(17);
  // Blocks of networks that all take the same time, on a machine whose noise is a tenth.
  const blocks = () => Array.from({ length: 8 }, () => Array.from(normals(4, random), (x) => Math.exp(0.1 * x)));
  let others = 0;
  for (let i = 0; i < 500; i++) {
    const times = blocks();
    const over = (a: number, b: number) =>
      speedupOfBlocks(times.map((of) => ({ before: [of[a] ?? NaN], after: [of[b] ?? NaN] })));
    const timed = [1, 2, 3].map((k) => plan([over(0, k)], [over(1, k)], 0.01 * k));
    if (choosePlan(timed) !== 0) others += 1;
  }
  // By the fastest as measured it would be two in three.
  expect(others / 500).toBeLessThan(0.02);
});
