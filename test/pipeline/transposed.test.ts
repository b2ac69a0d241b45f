import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { makeInts } from '../../src/models/ir/attributes.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import type { TensorProto } from '../../src/models/ir/messages.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { node, noise, proto, scratch, tensorOf, writeProto, type Sketch } from '../models/graphs.js';
import { localOptions } from './network.js';

const SAMPLES = 160;

/**
 * Weights [channels, m, ...kernel] that see few combinations of their inputs, as those of trained decoders: the rest is
 * noise of a fiftieth.
 */
function decoding(name: string, [channels = 1, ...rest]: number[], seen: number, seed: number): TensorProto {
  const width = rest.reduce((a, b) => a * b, 1);
  const [p, q, beside] = [
    noise(channels * seen, seed),
    noise(seen * width, seed + 1),
    noise(channels * width, seed + 2),
  ];
  const w = beside.map((v) => v / 50 / Math.sqrt(channels));
  for (let c = 0; c < channels; c++)
    for (let k = 0; k < seen; k++)
      for (let j = 0; j < width; j++)
        w[c * width + j] = w[c * width + j] + (2 * p[c * seen + k] * q[k * width + j]) / Math.sqrt(channels);
  return floatTensor(name, [channels, ...rest], w);
}

const up = (i: number, kernel: number[], strides: number[], pads: number[], more: number[]) =>
  node(
    'ConvTranspose',
    [i === 1 ? 'x' : `a${String(i - 1)}`, `w${String(i)}`, `b${String(i)}`],
    `c${String(i)}`,
    [
      makeInts('kernel_shape', kernel),
      makeInts('strides', strides),
      makeInts('pads', pads),
      makeInts('output_padding', more),
    ],
    `up${String(i)}`,
  );

const DECODERS: Record<string, Sketch> = {
  'of pictures': {
    input: [32, 3, 3],
    tensors: [
      decoding('w1', [32, 24, 3, 3], 5, 3),
      tensorOf('b1', [24]),
      decoding('w2', [24, 16, 4, 4], 4, 13),
      tensorOf('b2', [16]),
      tensorOf('out', [2, 16, 3, 3]),
    ],
    nodes: [
      up(1, [3, 3], [2, 2], [1, 1, 1, 1], [1, 1]),
      node('Relu', ['c1'], 'a1'),
      up(2, [4, 4], [2, 2], [1, 1, 1, 1], [0, 0]),
      node('Relu', ['c2'], 'a2'),
      node('Conv', ['a2', 'out'], 'y', [makeInts('pads', [1, 1, 1, 1])], 'last'),
    ],
  },
  'of signals': {
    input: [40, 6],
    tensors: [
      decoding('w1', [40, 32, 5], 5, 3),
      tensorOf('b1', [32]),
      decoding('w2', [32, 24, 4], 4, 13),
      tensorOf('b2', [24]),
      tensorOf('out', [2, 24, 3]),
    ],
    nodes: [
      up(1, [5], [5], [0, 0], [0]),
      node('Tanh', ['c1'], 'a1'),
      up(2, [4], [2], [1, 1], [0]),
      node('Relu', ['c2'], 'a2'),
      node('Conv', ['a2', 'out'], 'y', [makeInts('pads', [1, 1])], 'last'),
    ],
  },
};

async function compress(sketch: Sketch, { method = {}, ...given }: Record<string, unknown> & { method?: object } = {}) {
  const directory = scratch();
  const calibration = join(directory, 'calibration.npz');
  const values = SAMPLES * sketch.input.reduce((a, b) => a * b, 1);
  await writeNpz(calibration, { x: { dims: [SAMPLES, ...sketch.input], data: noise(values, 3) } });
  const files = { model: writeProto(proto(sketch), directory), calibration, evaluation: calibration };
  const whole = { target: { parameter_ratio: 3 }, ...given, method: { max_iterations: 6, samples: 2000, ...method } };
  return compressLocally({ ...localOptions(files, join(directory, 'out'), whole), evaluation: null });
}

describe.each(Object.entries(DECODERS))('a decoder %s', (_, sketch) => {
  let result: Awaited<ReturnType<typeof compress>>;

  beforeAll(async () => {
    result = await compress(sketch);
  });

  it('reaches a ratio that lies in its transposed convolutions, at little loss on unseen samples', async () => {
    expect(result.verdict.passed).toBe(true);
    expect(result.metrics.measured_on?.data).toBe('held_out');
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.1);
    const rows = result.layers.filter(({ op }) => op === 'ConvTranspose');
    expect(rows.map(({ name, decision }) => [name, decision])).toEqual([
      ['up1', 'compressed'],
      ['up2', 'compressed'],
    ]);
    const layers = { include: [], exclude: ['up1', 'up2'] };
    await expect(compress(sketch, { method: { layers } })).rejects.toThrow(/cannot be reached/);
  });

  it('is counted in the ledger as in the file', () => {
    const sum = (what: 'parameters' | 'macs') => result.layers.reduce((all, row) => all + row[what].after, 0);
    expect(sum('parameters')).toBe(result.metrics.parameters.after);
    expect(sum('macs')).toBe(result.metrics.macs.after);
  });

  it('is nearer to the original the more of it is left', async () => {
    const less = await compress(sketch, { target: { parameter_ratio: 1.5 } });
    expect(less.metrics.fidelity.relative_error).toBeLessThanOrEqual(result.metrics.fidelity.relative_error);
  });
});

describe('a decoder', () => {
  const pictures = DECODERS['of pictures'];
  if (pictures === undefined) throw new Error('no decoder');

  it.each(['channel', 'tucker', 'spatial', 'pointwise'])('can have all low-rank parts as %s', async (shape) => {
    const result = await compress(pictures, { method: { low_rank_shapes: [shape], components: ['low_rank'] } });
    const shapes = result.layers.flatMap((row) => row.low_rank_shape ?? []);
    expect(new Set(shapes)).toEqual(new Set([shape]));
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.5);
  });

  it('is fitted with fewer channels, and distilled', async () => {
    const method = { components: ['sparse'], inputs: 'symmetric', distillation_passes: 6 };
    const result = await compress(pictures, { target: { parameter_ratio: 1.5 }, method });
    const rows = result.layers.filter(({ decision }) => decision === 'compressed');
    expect(rows.some(({ op, groups }) => op === 'ConvTranspose' && (groups ?? 0) > 0)).toBe(true);
    const { distillation } = result.metrics;
    expect(distillation?.relative_error_after).toBeLessThan(distillation?.relative_error_before ?? 0);
  });

  it.each(['int8', 'float16'])('keeps its weights as %s', async (coding) => {
    const result = await compress(pictures, { method: { weights: { coding } } });
    expect(result.metrics.coding?.bytes.ratio).toBeGreaterThan(1);
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.12);
  });

  it('computes its narrow convolutions with integers, and the transposed ones beside them', async () => {
    const weights = { coding: 'static_int8', integer_layers: 'all' };
    const result = await compress(pictures, {
      method: { weights, low_rank_shapes: ['pointwise'], components: ['low_rank'] },
    });
    const layers = result.metrics.coding?.integer_layers;
    expect(layers?.integer).toBeGreaterThan(0);
    expect(layers?.all).toBeGreaterThan(layers?.integer ?? 0);
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.2);
  });

  it.each(['tfjs_graph', 'tfjs_layers'])('runs in TensorFlow.js, written as %s', async (format) => {
    // TensorFlow.js has the paddings valid and same.
    const nodes = pictures.nodes.map((old) => (old.name === 'up1' ? up(1, [3, 3], [2, 2], [0, 0, 1, 1], [0, 0]) : old));
    const result = await compress({ ...pictures, nodes }, { output: { format } });
    expect(result.metrics.tensorflowjs?.fidelity.relative_error).toBeCloseTo(result.metrics.fidelity.relative_error, 3);
  });
});
