import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { problemOf, type LayerShape } from '../../../bench/support/vgg-like.js';
import { layerStatistics, solveLayer } from '../../../src/compression/index.js';
import { createEngine, type Engine, type Matrix } from '../../../src/engines/index.js';
import {
  affordableImages,
  affordableSamples,
  BUDGETS,
  fitWork,
  imagesOfRun,
  spread,
} from '../../../src/pipeline/cost/budgets.js';
import { passWork, solveWork, statisticsWork } from '../../../src/pipeline/cost/work.js';

/** A chain of equal 3x3 convolutions of `channels`, on maps of `positions`. */
function chain(depth: number, channels: number, positions: number) {
  const d = 9 * channels;
  const layer = { m: channels, d, channels, positions, macs: channels * d * positions, blocked: null };
  return Array.from({ length: depth }, () => layer);
}

describe('budgets', () => {
  it.each([
    { depth: 8, channels: 16, positions: 64 },
    { depth: 16, channels: 512, positions: 196 },
    { depth: 54, channels: 128, positions: 3136 },
    { depth: 200, channels: 256, positions: 784 },
  ])('bound every pass and every fit of $depth layers of $channels channels', ({ depth, channels, positions }) => {
    const layers = chain(depth, channels, positions);
    const images = affordableImages(layers, 5000, null);
    expect(images <= 16 || images * passWork(layers) <= BUDGETS.pass).toBe(true);
    const together = imagesOfRun(layers, 64);
    expect(together === 1 || together * passWork(layers) <= BUDGETS.run).toBe(true);
    const wanted = { images, samples: 5000, iterations: 50 };
    const samples = affordableSamples(layers, wanted);
    const { statistics, solves } = fitWork(layers, { ...wanted, samples });
    expect(samples === 1000 || (statistics <= BUDGETS.statistics && solves <= BUDGETS.solves)).toBe(true);
  });

  it('leave small networks what they ask for, and give more to who asks for more', () => {
    const small = chain(15, 16, 1024);
    expect(affordableImages(small, 1024, null)).toBe(1024);
    expect(affordableSamples(small, { images: 1024, samples: 5000, iterations: 50 })).toBe(5000);
    const wide = chain(40, 512, 196);
    const usual = affordableSamples(wide, { images: 100, samples: 5000, iterations: 50 });
    expect(usual).toBeLessThan(5000);
    expect(affordableSamples(wide, { images: 100, samples: 50_000, iterations: 50 })).toBeGreaterThan(2 * usual);
  });

  it('take whole batches where the network takes no others', () => {
    const layers = chain(54, 128, 3136);
    expect(affordableImages(layers, 1000, 7) % 7).toBe(0);
    expect(affordableImages(layers, 1000, 100)).toBe(100);
  });

  it('spread images over the whole set', () => {
    expect([...spread(10, 4)]).toEqual([0, 2, 5, 7]);
    expect([...spread(3, 3)]).toEqual([0, 1, 2]);
  });
});

describe('counted work', () => {
  let inner: Engine;
  let macs = 0;
  beforeAll(async () => {
    inner = await createEngine('onnxruntime', { threads: 2 });
  });
  afterAll(() => inner.dispose());

  /** Counts the products that are made. */
  const counting = (): Engine => ({
    ...inner,
    multiply: async (a, b, transpose) => {
      const result: Matrix = await inner.multiply(a, b, transpose);
      macs += result.rows * result.cols * (transpose?.transposeA === true ? a.rows : a.cols);
      return result;
    },
    gram: (a) => {
      macs += a.rows * a.cols * a.cols;
      return inner.gram(a);
    },
    crossGram: (a, b) => {
      macs += a.rows * a.cols * b.cols;
      return inner.crossGram(a, b);
    },
  });

  it.each<LayerShape>([
    { m: 64, channels: 64, taps: 9, samples: 1500, rank: 16 },
    { m: 96, channels: 128, taps: 1, samples: 1500, rank: 24 },
    { m: 24, channels: 32, taps: 9, samples: 3000, rank: 8 },
  ])('is not less than the products that are made: $m of $channels channels, $taps taps', async (shape) => {
    const problem = problemOf(shape);
    const layer = { ...shape, d: shape.channels * shape.taps, blocked: null };
    const engine = counting();
    macs = 0;
    await layerStatistics(engine, problem, { components: ['low_rank', 'sparse'], seed: 1 });
    const statistics = macs;
    macs = 0;
    const iterations = 10;
    await solveLayer(
      engine,
      problem,
      { rank: shape.rank, groups: 0 },
      {
        reconstruction: 'after_activation',
        maxIterations: iterations,
        seed: 1,
      },
    );
    const solve = macs;
    expect(statistics).toBeLessThanOrEqual(statisticsWork(layer, shape.samples));
    expect(statistics).toBeGreaterThan(statisticsWork(layer, shape.samples) / 20);
    expect(solve).toBeLessThanOrEqual(solveWork(layer, shape.samples, iterations));
    expect(solve).toBeGreaterThan(solveWork(layer, shape.samples, iterations) / 20);
  });
});
