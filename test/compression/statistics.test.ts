import { afterAll, beforeAll, expect, it } from 'vitest';
import { costCurve, layerStatistics, solveLayer } from '../../src/compression/index.js';
import { createEngine, type Engine } from '../../src/engines/index.js';
import { DENSE, type Layer } from '../../src/models/layer.js';
import { randomLayer } from './problems.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('onnxruntime', { threads: 1 });
});
afterAll(() => engine.dispose());

const problem = randomLayer({ m: 64, channels: 32, taps: 9, samples: 1000, seed: 81 });
const layer: Layer = {
  name: 'conv',
  op: 'Conv',
  m: 64,
  d: 288,
  channels: 32,
  kernel: [3, 3],
  strides: [1, 1],
  dilations: [1, 1],
  pads: [1, 1, 1, 1],
  group: 1,
  input: 'x',
  output: 'y',
  positions: 64,
  inputSize: [8, 8],
  outputSize: [8, 8],
  activation: { kind: 'relu' },
  skip: null,
  hasBias: true,
  parameters: 64 * 288 + 64,
  macs: 64 * 288 * 64,
  blocked: null,
};
const both = ['low_rank', 'sparse'] as const;

it('estimates the error of the linear fit that the solver then starts from', async () => {
  const { statistics } = await layerStatistics(engine, problem, { components: both, seed: 1 });
  for (const { shape, inner, groups, ranks, errors } of statistics.curves) {
    if (groups > 4) continue;
    for (const rank of [8, 24]) {
      const at = ranks.indexOf(rank);
      if (at < 0) continue;
      const estimate = errors[at] ?? NaN;
      const { diagnostics } = await solveLayer(
        engine,
        problem,
        { shape, rank, inner, groups },
        { reconstruction: 'linear', maxIterations: 0, seed: 1 },
      );
      // Supports may differ a little: the curve selects its channels for all ranks at once.
      expect(
        estimate / diagnostics.relativeErrorLinear,
        `${shape} ${inner} rank ${rank} groups ${groups}`,
      ).toBeGreaterThan(0.9);
      expect(
        estimate / diagnostics.relativeErrorLinear,
        `${shape} ${inner} rank ${rank} groups ${groups}`,
      ).toBeLessThan(1.3);
    }
  }
});

it('is plain JSON whose errors fall with the rank', async () => {
  const { statistics } = await layerStatistics(engine, problem, { components: both, seed: 1 });
  expect(JSON.parse(JSON.stringify(statistics))).toEqual(statistics);
  expect(statistics.eigenvalues.reduce((a, b) => a + b, 0) / statistics.energy).toBeCloseTo(1, 4);
  for (const { errors } of statistics.curves) {
    for (let i = 1; i < errors.length; i++) expect(errors[i]).toBeLessThan(errors[i - 1] ?? NaN);
  }
});

it('offers only candidates that are smaller and faster than the dense layer, in steps of eight', async () => {
  const { statistics } = await layerStatistics(engine, problem, { components: both, seed: 1 });
  const [dense, ...rest] = costCurve(layer, statistics, both);
  expect(dense).toMatchObject({ ...DENSE, parameters: layer.parameters, macs: layer.macs, error: 0 });
  expect(rest.length).toBeGreaterThan(8);
  for (const candidate of rest) {
    expect(candidate.parameters).toBeLessThan(layer.parameters);
    expect(candidate.macs).toBeLessThan(layer.macs);
    expect(candidate.rank % 8).toBe(0);
    expect(candidate.groups % 4).toBe(0);
  }
  expect(costCurve(layer, statistics, ['low_rank']).every(({ groups }) => groups === 0)).toBe(true);
  expect(costCurve({ ...layer, blocked: 'grouped' }, statistics, both)).toHaveLength(1);
});

it('covers the whole range of channels when the sparse part stands alone', async () => {
  const { statistics } = await layerStatistics(engine, problem, { components: ['sparse'], seed: 1 });
  const candidates = costCurve(layer, statistics, ['sparse']);
  expect(candidates.every(({ rank }) => rank === 0)).toBe(true);
  expect(Math.max(...candidates.map(({ groups }) => groups))).toBeGreaterThanOrEqual(28);
});
