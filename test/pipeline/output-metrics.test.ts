import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEngine, matrix, type Engine, type Matrix } from '../../src/engines/index.js';
import { responseMetric } from '../../src/compression/index.js';
import { listLayers, prepare, Runner, type FloatTensor, type Model } from '../../src/models/index.js';
import { makeInt } from '../../src/models/ir/attributes.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import { outputMetrics } from '../../src/pipeline/steps/inspect/output-metrics.js';
import { responseBasis, SensitivityProbe } from '../../src/pipeline/curves/sensitivity.js';
import { batchOf, build, node, noise, type Sketch } from '../models/graphs.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('onnxruntime', { threads: 1 });
});
afterAll(() => engine.dispose());

type Slopes = ReadonlyMap<string, Matrix>;
async function metricsOf(sketch: Sketch, slopes: Slopes = new Map()) {
  const model: Model = prepare(await build(sketch));
  const { layers } = await listLayers(model, batchOf(sketch.input, 2), { threads: 1 });
  return outputMetrics(engine, model, layers, slopes);
}

/** Σ over taps of Wᵀ W in double precision, for weights [m, channels * taps]. */
function gram(weights: ArrayLike<number>, m: number, channels: number, taps = 1): number[] {
  const out = new Array<number>(channels * channels).fill(0);
  for (let i = 0; i < m; i++)
    for (let a = 0; a < channels; a++)
      for (let b = 0; b < channels; b++)
        for (let t = 0; t < taps; t++) {
          const at = (c: number) => weights[(i * channels + c) * taps + t] ?? NaN;
          out[a * channels + b] = (out[a * channels + b] ?? NaN) + at(a) * at(b);
        }
  return out;
}

function expectClose(actual: Matrix | undefined, expected: readonly number[]) {
  expect(actual?.data.length).toBe(expected.length);
  expected.forEach((value, i) => expect(actual?.data[i]).toBeCloseTo(value, 4));
}

const conv = (input: string, weights: string, output: string) => node('Conv', [input, weights], output, [], output);
const first = noise(4 * 3).map((v) => v * 0.5);
const second = noise(5 * 4 * 9, 7).map((v) => v * 0.5);
const W1 = floatTensor('w1', [4, 3, 1, 1], first);
const W2 = floatTensor('w2', [5, 4, 3, 3], second);

describe('the metric of a response', () => {
  it('is the identity for what the network puts out, and the sum over the taps of WᵀW before a convolution', async () => {
    const metrics = await metricsOf({
      nodes: [conv('x', 'w1', 'a'), conv('a', 'w2', 'y')],
      tensors: [W1, W2],
      input: [3, 6, 6],
    });
    expectClose(
      metrics.get('y')?.response,
      gram(
        Float32Array.from({ length: 25 }, (_, i) => (i % 6 === 0 ? 1 : 0)),
        5,
        5,
      ),
    );
    expectClose(metrics.get('a')?.response, gram(second, 5, 4, 9));
  });

  it('is what a fully connected layer behind a flattened map makes of the channels, its places being taps', async () => {
    const fc = noise(2 * 36, 3);
    const metrics = await metricsOf({
      nodes: [
        conv('x', 'w1', 'a'),
        node('Flatten', ['a'], 'f'),
        node('Gemm', ['f', 'fc'], 'y', [makeInt('transB', 1)], 'fc'),
      ],
      tensors: [W1, floatTensor('fc', [2, 36], fc)],
      input: [3, 3, 3],
    });
    expectClose(metrics.get('a')?.response, gram(fc, 2, 4, 9));
  });

  it('counts pairs of outputs as often as the activation lets both pass, where that was sampled', async () => {
    const sketch: Sketch = {
      nodes: [conv('x', 'w1', 'a'), node('Relu', ['a'], 'r'), conv('r', 'w2', 'y')],
      tensors: [W1, W2],
      input: [3, 6, 6],
    };
    const pass = matrix(
      4,
      4,
      Float32Array.from({ length: 16 }, (_, i) => 1 / (1 + i)),
    );
    const behind = gram(second, 5, 4, 9);
    const seen = (await metricsOf(sketch, new Map([['a', pass]]))).get('a');
    expectClose(
      seen?.response,
      behind.map((value, i) => value / (1 + i)),
    );
    expectClose(seen?.after, behind);
    const unseen = (await metricsOf(sketch)).get('a');
    expectClose(
      unseen?.response,
      behind.map((value, i) => (i % 5 === 0 ? value : value / 2)),
    );
  });

  it('goes on through sums, factors of channels, depthwise convolutions and parts of a concatenation', async () => {
    const depth = noise(4 * 9, 11);
    const factors = Float32Array.of(1, 2, -3, 0.5);
    const wide = noise(5 * 8, 13);
    const metrics = await metricsOf({
      nodes: [
        conv('x', 'w1', 'a'),
        node('Relu', ['a'], 'r'),
        node('Mul', ['r', 'factors'], 's'),
        node('Conv', ['s', 'depth'], 'd', [makeInt('group', 4)], 'depthwise'),
        conv('x', 'other', 'o'),
        node('Concat', ['o', 'd'], 'c', [makeInt('axis', 1)]),
        conv('c', 'wide', 'y'),
      ],
      tensors: [
        W1,
        floatTensor('factors', [4, 1, 1], factors),
        floatTensor('depth', [4, 1, 3, 3], depth),
        floatTensor('other', [4, 3, 3, 3], noise(108, 17)),
        floatTensor('wide', [5, 8, 1, 1], wide),
      ],
      input: [3, 6, 6],
    });
    const whole = gram(wide, 5, 8);
    const block = (from: number) =>
      Array.from({ length: 16 }, (_, i) => whole[(from + Math.floor(i / 4)) * 8 + from + (i % 4)] ?? NaN);
    expectClose(metrics.get('o')?.response, block(0));
    const products = (i: number, j: number) =>
      Array.from({ length: 9 }, (_, t) => (depth[i * 9 + t] ?? NaN) * (depth[j * 9 + t] ?? NaN)).reduce(
        (x, y) => x + y,
        0,
      );
    expectClose(
      metrics.get('a')?.response,
      block(4).map((value, at) => {
        const [i, j] = [Math.floor(at / 4), at % 4];
        const passed = i === j ? 1 : 0.5;
        return value * products(i, j) * (factors[i] ?? NaN) * (factors[j] ?? NaN) * passed;
      }),
    );
  });

  it('adds up what every reader of a tensor makes of it', async () => {
    const [up, back] = [noise(20, 23), noise(20, 19)];
    const metrics = await metricsOf({
      nodes: [conv('x', 'w1', 'a'), conv('a', 'up', 'b'), conv('b', 'back', 'c'), node('Add', ['a', 'c'], 'y')],
      tensors: [W1, floatTensor('up', [5, 4, 1, 1], up), floatTensor('back', [4, 5, 1, 1], back)],
      input: [3, 6, 6],
    });
    const behind = gram(back, 4, 5);
    expectClose(metrics.get('b')?.response, behind);
    const through = (i: number, j: number) => {
      let sum = i === j ? 1 : 0;
      for (let p = 0; p < 5; p++)
        for (let q = 0; q < 5; q++) sum += (up[p * 4 + i] ?? NaN) * (behind[p * 5 + q] ?? NaN) * (up[q * 4 + j] ?? NaN);
      return sum;
    };
    expectClose(
      metrics.get('a')?.response,
      Array.from({ length: 16 }, (_, at) => through(Math.floor(at / 4), at % 4)),
    );
  });

  it('is not given in front of an operator that mixes channels in a way of its own', async () => {
    const metrics = await metricsOf({
      nodes: [
        conv('x', 'w1', 'a'),
        node('DepthToSpace', ['a'], 's', [makeInt('blocksize', 2)]),
        conv('s', 'last', 'y'),
      ],
      tensors: [W1, floatTensor('last', [5, 1, 1, 1], noise(5))],
      input: [3, 6, 6],
    });
    expect([...metrics.keys()]).toEqual(['y']);
  });
});

describe('the effect of a limited rank on the network', () => {
  it.each(['Conv', 'Gemm'])('is none when all directions are kept, in whatever metric (%s)', async (op) => {
    const isConv = op === 'Conv';
    const one = isConv ? [1, 1] : [];
    const attributes = isConv ? [] : [makeInt('transB', 1)];
    const sketch: Sketch = {
      nodes: [
        node(op, ['x', 'w1'], 'a', attributes, 'a'),
        node('Relu', ['a'], 'r'),
        node(op, ['r', 'w2'], 'y', attributes, 'y'),
      ],
      tensors: [floatTensor('w1', [4, 3, ...one], first), floatTensor('w2', [5, 4, ...one], noise(20, 29))],
      input: isConv ? [3, 6, 6] : [3],
    };
    const prepared = prepare(await build(sketch));
    const batch = batchOf(sketch.input, 8);
    const { layers } = await listLayers(prepared, batch, { threads: 1 });
    const layer = layers[0];
    if (layer === undefined) throw new Error('no layer');
    const runner = await Runner.open(prepared, { threads: 1, capture: ['a'] });
    const values = await runner.run(batch);
    await runner.release();
    const response = values.get('a') as FloatTensor;
    const rows = matrix(64, 4, noise(256, 31));
    const skewed = responseMetric(Float32Array.from(gram(noise(24, 37), 6, 4)));
    const basis = await responseBasis(engine, rows, { size: 4, seed: 1, metric: skewed });
    const probes = [
      { rank: 4, layerError: 0.1 },
      { rank: 2, layerError: 0.2 },
    ];
    const read = (name: string) => Promise.resolve(name === 'x' ? batch : (values.get(name) as FloatTensor));
    const network = { prepared, outputs: ['y'], parts: new Map(), threads: 1 };
    const probe = await SensitivityProbe.open(network, layer, {
      basis,
      probes,
      variants: [],
      before: new Set<string>(),
      read,
    });
    await probe.add(response, 0, new AbortController().signal);
    const [whole, half] = probe.points();
    await probe.release();
    expect(whole?.outputError).toBeLessThan(1e-8);
    expect(half?.outputError).toBeGreaterThan(1e-3);
  });
});
