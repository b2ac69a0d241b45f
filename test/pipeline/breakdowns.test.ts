import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { InputError } from '../../src/errors/index.js';
import { makeInt, makeInts } from '../../src/models/ir/attributes.js';
import type { NodeProto, TensorProto } from '../../src/models/ir/messages.js';
import { floatTensor, tensorFloats } from '../../src/models/ir/tensors.js';
import { compressLocally, type LocalResult } from '../../src/pipeline/local.js';
import { node, noise, proto, scratch, tensorOf, writeProto } from '../models/graphs.js';
import { localOptions } from './network.js';

const SAMPLE = [3, 8, 8];
const PER_SAMPLE = 3 * 8 * 8;
const pads = [makeInts('pads', [1, 1, 1, 1])];

interface Case {
  /** New values of tensors, by name. */
  change?: Record<string, (value: number, i: number) => number>;
  /** In place of the node behind the last layer. */
  last?: NodeProto;
  x?: (value: number, i: number) => number;
  target?: Record<string, number>;
}

/** Three convolutions, a normalization behind the second, and a classifier. */
async function compress({
  change = {},
  last,
  x = (v) => v,
  target = { parameter_ratio: 1.02 },
}: Case): Promise<LocalResult> {
  const directory = scratch();
  const tensors = [
    ...[tensorOf('w0', [8, 3, 3, 3]), tensorOf('b0', [8])],
    ...[tensorOf('w1', [8, 8, 3, 3], 3), tensorOf('b1', [8])],
    ...['scale', 'shift', 'mean', 'variance'].map((name) => floatTensor(name, [8], new Float32Array(8).fill(0.5))),
    ...[tensorOf('w2', [8, 8, 3, 3], 5), tensorOf('b2', [8]), tensorOf('wf', [5, 8], 7), tensorOf('bf', [5])],
  ].map((tensor): TensorProto => {
    const values = tensorFloats(tensor, null).map((value, i) => change[tensor.name]?.(value, i) ?? value);
    return floatTensor(tensor.name, tensor.dims.map(Number), values);
  });
  const model = proto({
    input: SAMPLE,
    tensors,
    nodes: [
      node('Conv', ['x', 'w0', 'b0'], 'c0', pads, 'conv0'),
      node('Relu', ['c0'], 'r0'),
      node('Conv', ['r0', 'w1', 'b1'], 'c1', pads, 'conv1'),
      node('BatchNormalization', ['c1', 'scale', 'shift', 'mean', 'variance'], 'n1', [], 'norm'),
      node('Relu', ['n1'], 'r1'),
      node('Conv', ['r1', 'w2', 'b2'], 'c2', pads, 'conv2'),
      node('Relu', ['c2'], 'r2'),
      node('GlobalAveragePool', ['r2'], 'g'),
      node('Flatten', ['g'], 'f'),
      node('Gemm', ['f', 'wf', 'bf'], 'l', [makeInt('transB', 1)], 'classifier'),
      last ?? node('Identity', ['l'], 'y'),
    ],
  });
  const calibration = join(directory, 'calibration.npz');
  await writeNpz(calibration, { x: { dims: [32, ...SAMPLE], data: noise(32 * PER_SAMPLE, 9).map(x) } });
  const files = { model: writeProto(model, directory), calibration, evaluation: calibration };
  const method = { samples: 200, max_iterations: 6 };
  const options = localOptions(files, join(directory, 'out'), { target, method, benchmark: { batch_sizes: [1] } });
  return compressLocally({ ...options, evaluation: null });
}

const REFUSED: [string, Case, RegExp, string[]][] = [
  ['inputs that are all zero', { x: () => 0 }, /all values of x are the same/, ['#calibration/x']],
  ['constant inputs', { x: () => 0.7 }, /all values of x are the same/, ['#calibration/x']],
  [
    'a negative variance',
    { change: { variance: (v, i) => (i === 3 ? -1 : v) } },
    /norm \(BatchNormalization\) has the variance -1 in channel 3/,
    ['#model/initializer/variance/3'],
  ],
  [
    'a variance that epsilon makes zero',
    { change: { variance: (v, i) => (i === 5 ? -1e-5 : v) } },
    /in channel 5/,
    ['#model/initializer/variance/5'],
  ],
  [
    'outputs that are NaN',
    { last: node('Sqrt', ['l'], 'y', [], 'root') },
    /output y of the model NaN; the first node with such a number is root \(Sqrt\): a NaN at element \d of y/,
    ['#model/node/root', '#calibration/x/0'],
  ],
  [
    'outputs that overflow, for one sample only',
    { x: (v, i) => (Math.floor(i / PER_SAMPLE) === 20 ? v * 1e4 : v), last: node('Exp', ['l'], 'y', [], 'exp') },
    /sample 20 makes output y of the model infinite; the first node with such a number is exp \(Exp\)/,
    ['#model/node/exp', '#calibration/x/20'],
  ],
  [
    'weights whose products are beyond float32',
    { change: { w0: (v) => v * 1e25, w1: (v) => v * 1e25 } },
    /the first node with such a number is conv1 \(Conv\)/,
    ['#model/node/conv1', '#calibration/x/0'],
  ],
];

REFUSED.push([
  'a sample that is too large for every layer',
  { x: (v, i) => (Math.floor(i / PER_SAMPLE) === 3 ? v * 1e20 : v) },
  /no layer of the model can be compressed \(conv0: its inputs reach .*too large/,
  ['#model', '#calibration/x'],
]);

const DENSE: [string, Case, Record<string, RegExp>][] = [
  [
    'weights that are too large to fit',
    { change: { w1: (v, i) => (i === 7 ? 1e25 : v) } },
    { conv1: /weights reach .*too large/ },
  ],
  ['a layer that is dead', { change: { b0: () => -100 } }, { conv1: /inputs are zero for all calibration samples/ }],
  ['inputs that are denormal', { x: (v) => v * 1e-40 }, { conv0: /the same \(within 1e-18\)/ }],
  ['weights that are denormal', { change: { w1: (v) => v * 1e-40 } }, {}],
  ['weights that are zero', { change: { w1: () => 0 } }, {}],
  [
    'everything zero',
    { change: Object.fromEntries(['w0', 'w1', 'w2', 'wf', 'b0', 'b1', 'b2', 'bf'].map((name) => [name, () => 0])) },
    { conv1: /zero/ },
  ],
];

describe('numbers that cannot be worked with', () => {
  it.each(REFUSED)('are refused with a pointer: %s', async (_, given, message, pointers) => {
    const refusal: unknown = await compress(given).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(InputError);
    const { code, message: text, faults } = refusal as InputError;
    expect(code).not.toBe('numerical_breakdown');
    expect(text).toMatch(message);
    expect(faults.map(({ pointer }) => pointer)).toEqual(pointers);
  });

  it.each(DENSE)('leave a layer dense and name the reason: %s', async (_, given, reasons) => {
    const { layers, metrics } = await compress({ ...given, target: { parameter_ratio: 1.01 } });
    for (const [name, reason] of Object.entries(reasons)) {
      const row = layers.find((layer) => layer.name === name);
      expect(row).toMatchObject({ decision: 'dense' });
      expect(row?.reason).toMatch(reason);
    }
    expect(Number.isFinite(metrics.fidelity.relative_error)).toBe(true);
  });

  it('leave a target that the other layers cannot meet with the smallest network of them', async () => {
    const given = { change: { w1: (v: number, i: number) => (i === 7 ? 1e25 : v) }, target: { parameter_ratio: 2 } };
    const { metrics, verdict } = await compress(given);
    expect(metrics.parameters.ratio).toBeGreaterThan(1);
    expect(verdict.passed).toBe(false);
    const warning = verdict.warnings?.find(({ code }) => code === 'target_out_of_reach');
    expect(warning?.cause).toMatch(/layers that stay dense \(conv1: its weights reach 7.\de\+24, too large/);
  });
});
