import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { speedupOfBlocks } from '../../src/pipeline/latency/block-interval.js';
import { quantile } from '../../src/pipeline/latency/latency.js';

/**
 * Recorded by `bench/latency-blocks.ts`: 24 measurements in a row on two cores beside other work (load 12 to 35), each
 * in the blocks of a job, a small residual network against itself and against a narrower one, at batch 1 and 32.
 * Medians of blocks, milliseconds.
 */
interface Recorded {
  recorded: { pair: string; batches: { batch: number; jobs: [before: number, after: number][][] }[] }[];
}

const { recorded } = JSON.parse(readFileSync(new URL('latency-blocks.json', import.meta.url), 'utf8')) as Recorded;

const speedups = recorded.flatMap(({ pair, batches }) =>
  batches.map(({ batch, jobs }) => ({
    name: `${pair}, batch ${String(batch)}`,
    found: jobs.map((blocks) =>
      speedupOfBlocks(blocks.map(([before, after]) => ({ before: [before], after: [after] }))),
    ),
  })),
);
type Found = (typeof speedups)[number]['found'];
const covering = (found: Found, truth: number) =>
  found.filter(({ ci95: [low, high] }) => low <= truth && truth <= high);
const medianOf = (found: Found) =>
  quantile(
    found.map(({ ratio }) => ratio),
    0.5,
  );

describe('interval of a speedup, on recorded timings', () => {
  it('holds what equal jobs find in the median, nine times in ten at least', () => {
    const held = speedups.reduce((sum, { found }) => sum + covering(found, medianOf(found)).length, 0);
    const all = speedups.reduce((sum, { found }) => sum + found.length, 0);
    expect(all).toBe(96);
    expect(held / all).toBeGreaterThanOrEqual(0.9);
  });

  it.each(speedups)('does so four times in five for each kind: $name', ({ found }) => {
    expect(covering(found, medianOf(found)).length / found.length).toBeGreaterThanOrEqual(0.8);
  });

  it('holds the ratio itself, and is narrow where blocks are alike', () => {
    for (const { ratio, ci95 } of speedups.flatMap(({ found }) => found)) {
      expect(ci95[0]).toBeLessThanOrEqual(ratio);
      expect(ci95[1]).toBeGreaterThanOrEqual(ratio);
    }
    const quiet = Array.from({ length: 10 }, (_, i) => ({ before: [10 + 0.1 * (i % 3)], after: [5 + 0.1 * (i % 2)] }));
    const { ratio, ci95 } = speedupOfBlocks(quiet);
    expect(ratio).toBeCloseTo(2, 1);
    expect(ci95[1] - ci95[0]).toBeLessThan(0.15);
  });

  it('is not moved by a block in which the machine was taken away', () => {
    const alike = Array.from({ length: 9 }, (_, i) => ({ before: [10 + 0.1 * (i % 3)], after: [5] }));
    const { ratio, ci95 } = speedupOfBlocks([...alike, { before: [10], after: [500] }]);
    expect(ratio).toBeCloseTo(2, 1);
    expect(ci95[0]).toBeGreaterThan(1.9);
  });
});
