import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openDataset, writeNpz, type Samples } from '../../src/datasets/index.js';
import { networkLatencies } from '../../src/pipeline/latency/network-latency.js';
import { batchOf, build, node, scratch, tensorOf } from '../models/graphs.js';
import { LIMITS } from './network.js';
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

describe('the latency of networks', () => {
  it.each([
    [[1, 32], Infinity, [1, 32]],
    [[1, 32], 14, [1, 14]],
    [[16, 32, 2], 8, [8, 2]],
  ])('is measured at %j, of %s samples at most: %j', async (asked, most, sizes) => {
    const model = await build({
      input: [2],
      tensors: [tensorOf('w', [2, 2])],
      nodes: [node('MatMul', ['x', 'w'], 'y')],
    });
    const path = join(scratch(), 'x.npz');
    await writeNpz(path, { x: batchOf([2], 5) });
    const data = await openDataset(path, { directory: scratch(), limits: { ...LIMITS, maxSamples: 10 } });
    const seen = new Set<number>();
    const converted: Samples[] = [];
    const open = () =>
      Promise.resolve({
        fixedBatch: null,
        typed: (samples: Samples) => {
          converted.push(new Map(samples));
          return converted.at(-1) ?? samples;
        },
        run: (samples: Samples) => {
          // Not timed with what turns the samples into the types of the inputs.
          expect(converted).toContain(samples);
          return Promise.resolve(void seen.add(samples.get('x')?.dims[0] ?? 0));
        },
        release: () => Promise.resolve(),
      });
    const [latency] = await networkLatencies(model, [model], data, {
      ...{ threads: 1, spec: { benchmark: { batch_sizes: asked, threads: 1 } }, most, mostWithArena: 64, open },
      ...{ signal: new AbortController().signal, progress: () => undefined },
    });
    await data.close();
    expect(latency?.map(({ batch }) => batch)).toEqual(sizes);
    expect([...seen]).toEqual(sizes);
  });
});
