import { describe, expect, it } from 'vitest';
import { planSamples, rowsOf } from '../../src/pipeline/network/sample-plan.js';

describe('planSamples', () => {
  const layer = { d: 27, positions: 1024 };

  it('spreads the samples evenly over the images and never repeats a position', () => {
    const plan = planSamples(layer, 3, { images: 100, samples: 250, memoryBytes: 1e9, seed: 7 });
    expect(plan.images).toHaveLength(250);
    const perImage = new Map<number, Set<number>>();
    plan.images.forEach((image, row) => {
      const set = perImage.get(image) ?? new Set();
      expect(set.has(plan.positions[row] ?? -1)).toBe(false);
      perImage.set(image, set.add(plan.positions[row] ?? -1));
    });
    expect([...perImage.values()].every((set) => set.size === 2 || set.size === 3)).toBe(true);
    expect(Math.max(...plan.positions)).toBeLessThan(1024);
  });

  it('is the same for the same seed and layer, and another for another', () => {
    const plan = (index: number, seed: number) =>
      planSamples(layer, index, { images: 50, samples: 200, memoryBytes: 1e9, seed });
    expect(plan(1, 1)).toEqual(plan(1, 1));
    expect(plan(1, 1).positions).not.toEqual(plan(1, 2).positions);
    expect(plan(1, 1).positions).not.toEqual(plan(2, 1).positions);
  });

  it('takes everything when fewer positions exist than samples are wanted', () => {
    const plan = planSamples({ d: 5, positions: 2 }, 0, { images: 3, samples: 1000, memoryBytes: 1e9, seed: 1 });
    expect([...plan.images]).toEqual([0, 0, 1, 1, 2, 2]);
    expect([...plan.positions]).toEqual([0, 1, 0, 1, 0, 1]);
  });

  it('stays within the memory given for a layer', () => {
    const plan = planSamples({ d: 25_088, positions: 1 }, 0, {
      images: 5000,
      samples: 5000,
      memoryBytes: 100_000_000,
      seed: 1,
    });
    expect(plan.images.length * 25_088 * 4).toBeLessThanOrEqual(100_000_000);
    expect(plan.images.length).toBe(996);
  });

  it('finds the rows of a range of images', () => {
    const plan = planSamples({ d: 5, positions: 4 }, 0, { images: 10, samples: 20, memoryBytes: 1e9, seed: 1 });
    expect(rowsOf(plan, 0, 10)).toEqual([0, 20]);
    expect(rowsOf(plan, 3, 5)).toEqual([6, 10]);
  });
});
