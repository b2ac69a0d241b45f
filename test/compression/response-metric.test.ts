import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  layerStatistics,
  refitLayer,
  responseMetric,
  slopeMoments,
  solveLayer,
  type LayerProblem,
} from '../../src/compression/index.js';
import { factoredResponse } from '../../src/compression/low-rank/factors.js';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';
import { createEngine, matrix, type Engine, type Matrix } from '../../src/engines/index.js';
import type { Factors } from '../../src/models/layer.js';
import { plantedLayer, plantedTucker, randomLayer } from './problems.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('onnxruntime', { threads: 1 });
});
afterAll(() => engine.dispose());

/** Few directions matter: R Rᵀ with R [m, 3]. */
async function steepMetric(m: number, seed: number): Promise<Float32Array> {
  const r = matrix(m, 3, normals(m * 3, seededRandom(seed)));
  return (await engine.multiply(r, r, { transposeB: true })).data;
}

const OPTIONS = { reconstruction: 'after_activation', maxIterations: 40, seed: 1, ridge: 1e-6 } as const;

/** || (Y - response of the factors) C ||², before the activation. */
async function errorIn(metric: Matrix, problem: LayerProblem, factors: Factors): Promise<number> {
  const { inputs, weights, bias } = problem;
  const rows = matrix(inputs.length / (problem.channels * problem.taps), problem.channels * problem.taps, inputs);
  const own = await engine.multiply(rows, matrix(bias.length, rows.cols, weights), { transposeB: true });
  const fit = await factoredResponse(engine, factors, rows, problem);
  const rest = matrix(
    own.rows,
    own.cols,
    own.data.map((y, i) => y + (bias[i % own.cols] ?? NaN) - (fit.data[i] ?? NaN)),
  );
  return (await engine.multiply(rest, metric)).data.reduce((sum, x) => sum + x * x, 0);
}

describe('a metric of the response', () => {
  it('is a factorisation: turn turnᵀ is the metric with a ridge, up to its scale, and back undoes turn', async () => {
    const given = await steepMetric(12, 3);
    const metric = responseMetric(given);
    if (metric === null) throw new Error('no metric');
    const square = await engine.multiply(metric.turn, metric.turn, { transposeB: true });
    const scale = 12 / given.reduce((sum, x, i) => (i % 13 === 0 ? sum + x : sum), 0);
    given.forEach((x, i) => expect(square.data[i]).toBeCloseTo(scale * x + (i % 13 === 0 ? 0.05 : 0), 4));
    const same = await engine.multiply(metric.turn, metric.back);
    same.data.forEach((x, i) => expect(x).toBeCloseTo(i % 13 === 0 ? 1 : 0, 4));
  });

  it('is none for one that says nothing', () => {
    expect(responseMetric(undefined)).toBeNull();
    expect(responseMetric(new Float32Array(9))).toBeNull();
    expect(responseMetric(Float32Array.of(NaN, 0, 0, 1))).toBeNull();
  });

  it('has slopes with the moments that a plain sum gives', async () => {
    const z = matrix(50, 3, normals(150, seededRandom(5)));
    const moments = await slopeMoments(engine, { kind: 'relu' }, z);
    for (let a = 0; a < 3; a++)
      for (let b = 0; b < 3; b++) {
        let both = 0;
        for (let n = 0; n < 50; n++) if ((z.data[n * 3 + a] ?? NaN) > 0 && (z.data[n * 3 + b] ?? NaN) > 0) both++;
        expect(moments.data[a * 3 + b]).toBeCloseTo(both / 50, 6);
      }
  });
});

describe('a layer that is solved in a metric', () => {
  const sizes = { m: 24, channels: 8, taps: 9, samples: 600, seed: 41 };

  it('has the lower error in it than the plain solve at the same size, for every shape of the low-rank part', async () => {
    const problem: LayerProblem = { ...randomLayer({ ...sizes, activation: { kind: 'identity' } }), lastAxes: 3 };
    const metric = await steepMetric(24, 7);
    const turn = responseMetric(metric)?.turn;
    if (turn === undefined) throw new Error('no metric');
    for (const size of [
      { shape: 'channel', rank: 4, inner: 0, groups: 0 },
      { shape: 'tucker', rank: 6, inner: 3, groups: 0 },
      { shape: 'spatial', rank: 4, inner: 0, groups: 0 },
      { shape: 'channel', rank: 3, inner: 0, groups: 2 },
    ] as const) {
      const plain = await solveLayer(engine, problem, size, OPTIONS);
      const weighed = await solveLayer(engine, { ...problem, metric }, size, OPTIONS);
      const errors = [await errorIn(turn, problem, weighed.factors), await errorIn(turn, problem, plain.factors)];
      expect((errors[0] ?? NaN) / (errors[1] ?? NaN)).toBeLessThan(0.9);
      const refitted = await refitLayer(engine, { ...problem, metric }, weighed.factors, OPTIONS);
      expect((await errorIn(turn, problem, refitted.factors)) / (errors[1] ?? NaN)).toBeLessThan(0.9);
    }
  });

  it('still recovers what was planted, exactly', async () => {
    const metric = await steepMetric(24, 11);
    const planted = plantedLayer(sizes, 3, [1, 5]);
    const both = await solveLayer(engine, { ...planted, metric }, { rank: 3, groups: 2 }, OPTIONS);
    expect(both.diagnostics.relativeError).toBeLessThan(1e-6);
    expect(both.factors.sparse?.kept).toEqual([1, 5]);
    const tucker = await solveLayer(
      engine,
      { ...plantedTucker(sizes, 4, 5), metric },
      { shape: 'tucker', rank: 5, inner: 4, groups: 0 },
      OPTIONS,
    );
    expect(tucker.diagnostics.relativeError).toBeLessThan(1e-6);
  });

  it('has curves that fall with the rank, in the metric', async () => {
    const metric = await steepMetric(24, 13);
    const problem: LayerProblem = { ...randomLayer(sizes), metric, metricAfter: metric, lastAxes: 3 };
    const { statistics } = await layerStatistics(engine, problem, { components: ['low_rank', 'sparse'], seed: 1 });
    const plain = await layerStatistics(engine, randomLayer(sizes), { components: ['low_rank'], seed: 1 });
    const curve = statistics.curves.find(({ shape, groups }) => shape === 'channel' && groups === 0);
    const errors = curve?.errors ?? [];
    expect(errors.length).toBeGreaterThan(3);
    // Three directions matter: behind them there is little left, and much in the plain measure.
    const at = (curve?.ranks ?? []).findIndex((rank) => rank >= 4);
    expect(errors[at]).toBeLessThan((plain.statistics.curves[0]?.errors[at] ?? NaN) / 2);
    for (let i = 1; i < errors.length; i++) expect(errors[i]).toBeLessThan((errors[i - 1] ?? NaN) * 1.05);
  });

  it('is refused with a metric of another size', async () => {
    const problem = { ...randomLayer(sizes), metric: new Float32Array(9) };
    await expect(solveLayer(engine, problem, { rank: 2, groups: 0 }, OPTIONS)).rejects.toThrow('metric');
  });
});
