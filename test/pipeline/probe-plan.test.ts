import { describe, expect, it } from 'vitest';
import { planProbes, probeWork } from '../../src/pipeline/steps/inspect/probe-plan.js';

/** A chain of equal 3x3 convolutions of `channels`, on maps of `positions`. */
function chain(depth: number, channels: number, positions: number, blocked: string | null = null) {
  const d = 9 * channels;
  const layer = { m: channels, d, channels, positions, macs: channels * d * positions, blocked };
  return Array.from({ length: depth }, () => layer);
}

const BOUND = 8e11;

describe('probes of a network', () => {
  it('are all made, over many images, where the network is small', () => {
    const plan = planProbes(chain(15, 16, 1024), 1000, 1, false);
    expect(plan).toMatchObject({ images: 128, layerErrors: { length: 5 }, tapErrors: { length: 3 } });
    expect(planProbes(chain(15, 16, 1024), 50, 1, false).images).toBe(50);
  });

  it.each([10, 20, 40, 64, 100, 150])('stay within the work at a depth of %i', (depth) => {
    const layers = chain(depth, 64, 80 * 80);
    const plan = planProbes(layers, 1000, 1, false);
    const each = probeWork(layers, plan);
    if (plan.images > 1) expect(plan.images * each).toBeLessThanOrEqual(BOUND);
    expect(plan.images).toBeLessThanOrEqual(128);
    expect((plan.images + 1) * each > BOUND || plan.images === 128).toBe(true);
  });

  it('become fewer where the network is deep and its maps are large, down to one image', () => {
    const plans = [4, 16, 64, 100, 400].map((depth) => planProbes(chain(depth, 64, 80 * 80), 1000, 1, false));
    const probes = plans.map(({ layerErrors, tapErrors }) => layerErrors.length + tapErrors.length);
    expect(probes).toEqual([...probes].sort((a, b) => b - a));
    expect(probes[0]).toBe(8);
    expect(probes.at(-1)).toBe(3);
    expect(plans.at(-1)?.images).toBe(1);
  });

  it('are over whole batches where the network takes no others, at least one', () => {
    const layers = chain(12, 64, 24 * 24);
    const plan = planProbes(layers, 1000, 10, true);
    expect(plan.images).toBeGreaterThan(10);
    expect(plan.images % 10).toBe(0);
    expect(plan.images * probeWork(layers, plan)).toBeLessThanOrEqual(2 * BOUND);
    expect(planProbes(chain(3, 16, 100), 1000, 50, true).images).toBe(100);
    expect(planProbes(chain(400, 64, 80 * 80), 1000, 10, true).images).toBe(10);
  });

  it('fill the runs that they begin, within twice the work', () => {
    for (const depth of [6, 10, 20, 40, 64]) {
      const layers = chain(depth, 64, 40 * 40);
      const free = planProbes(layers, 1000, 1, false);
      for (const batch of [2, 5, 16, 64]) {
        const plan = planProbes(layers, 1000, batch, false);
        expect(plan).toEqual({ ...free, images: plan.images });
        if (plan.images % batch > 0) expect(plan.images).toBe(free.images);
        expect(plan.images * probeWork(layers, plan)).toBeLessThanOrEqual(2 * BOUND);
        expect(planProbes(layers, 3, batch, false).images).toBeLessThanOrEqual(3);
      }
    }
  });

  it('count nothing for layers that stay dense, and the maps behind a layer as well as its products', () => {
    const probes = { layerErrors: [0.1], tapErrors: [] };
    expect(probeWork(chain(5, 16, 100, 'depthwise'), probes)).toBe(0);
    const [only] = chain(1, 16, 100);
    if (only === undefined) throw new Error('one layer');
    expect(probeWork([only, { ...only, blocked: 'depthwise' }], probes)).toBe(only.macs + 40 * 16 * 100);
  });
});
