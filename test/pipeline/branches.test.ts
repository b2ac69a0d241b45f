import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { listLayers, loadModel, prepare } from '../../src/models/index.js';
import { makeInt, makeInts } from '../../src/models/ir/attributes.js';
import type { ModelProto } from '../../src/models/ir/messages.js';
import { floatTensor, tensorFloats } from '../../src/models/ir/tensors.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { batchOf, node, noise, proto, scratch, tensorOf } from '../models/graphs.js';
import { CLASSES, LIMITS, localOptions, SIDE, writeFiles, type Files } from './network.js';

const CHANNELS = 16;
const pads = makeInts('pads', [1, 1, 1, 1]);
const depthwise = makeInt('group', CHANNELS);
const weights = (name: string, dims: number[], size: number, seed: number) => {
  const values = noise(
    dims.reduce((a, b) => a * b, 1),
    seed,
  );
  return floatTensor(
    name,
    dims,
    values.map((v) => v * size),
  );
};

/** Two residual blocks with a depthwise convolution each, of which the second hardly changes what it adds to. */
function twoBlocks(): ModelProto {
  const conv = (name: string, from: string, to: string) =>
    node('Conv', [from, `${name}.w`, `${name}.b`], to, [pads], name);
  const wide = [CHANNELS, CHANNELS, 3, 3];
  const block = (name: string, from: string, to: string) => [
    conv(`${name}1`, from, `${name}p`),
    node('Relu', [`${name}p`], `${name}q`),
    node('Conv', [`${name}q`, `${name}d.w`], `${name}r`, [pads, depthwise], `${name}d`),
    conv(`${name}2`, `${name}r`, `${name}s`),
    node('Add', [`${name}s`, from], `${name}t`),
    node('Relu', [`${name}t`], to),
  ];
  return proto({
    input: [3, SIDE, SIDE],
    output: 'logits',
    tensors: [
      weights('first.w', [CHANNELS, 3, 3, 3], 0.4, 11),
      tensorOf('first.b', [CHANNELS]),
      ...['a', 'b'].flatMap((name, i) => [
        weights(`${name}1.w`, wide, 0.15, 21 + i),
        tensorOf(`${name}1.b`, [CHANNELS]),
        weights(`${name}d.w`, [CHANNELS, 1, 3, 3], 0.5, 31 + i),
        weights(`${name}2.w`, wide, name === 'a' ? 0.2 : 0.002, 41 + i),
        floatTensor(`${name}2.b`, [CHANNELS], new Float32Array(CHANNELS)),
      ]),
      weights('last.w', [CLASSES, CHANNELS * 16], 0.1, 51),
      tensorOf('last.b', [CLASSES]),
    ],
    nodes: [
      conv('first', 'x', 'c'),
      node('Relu', ['c'], 'e'),
      ...block('a', 'e', 'f'),
      ...block('b', 'f', 'g'),
      node('MaxPool', ['g'], 'h', [makeInts('kernel_shape', [2, 2]), makeInts('strides', [2, 2])]),
      node('Flatten', ['h'], 'i'),
      node('Gemm', ['i', 'last.w', 'last.b'], 'logits', [makeInt('transB', 1)], 'last'),
    ],
  });
}

let files: Files;
beforeAll(async () => {
  files = await writeFiles(scratch(), twoBlocks());
});

const METHOD = { samples: 500, max_iterations: 8 };
const compress = async (target: object, method: object = {}, more: object = {}) => {
  const output = scratch();
  const given = { target, method: { ...METHOD, ...method }, ...more };
  return { ...(await compressLocally(localOptions(files, output, given))), output };
};
type Result = Awaited<ReturnType<typeof compress>>;
const dropped = ({ layers }: Result) => layers.flatMap(({ decision, name }) => (decision === 'dropped' ? [name] : []));
const BLOCK = ['b1', 'bd', 'b2'];

/** A convolution of the weights `name`. */
const plain = (name: string, from: string, to: string, kernel = 3) =>
  node('Conv', [from, `${name}.w`, `${name}.b`], to, kernel === 3 ? [pads] : [], name);
const plainWeights = (
  name: string,
  seed: number,
  { size = 0.15, m = CHANNELS, channels = CHANNELS, kernel = 3 } = {},
) => [
  weights(`${name}.w`, [m, channels, kernel, kernel], size, seed),
  floatTensor(
    `${name}.b`,
    [m],
    noise(m, seed + 100).map((v) => v / 10),
  ),
];
const compressOther = async (model: ModelProto, target: object, method: object = {}) => {
  const own = await writeFiles(scratch(), model);
  const output = scratch();
  const options = localOptions(own, output, { target, method: { ...METHOD, ...method } });
  const { evaluation: _, ...spec } = options.spec;
  // Without labels outputs may be anything.
  return { ...(await compressLocally({ ...options, spec, evaluation: null })), output, sent: own.model };
};
const weightsOf = async (path: string) => {
  const model = prepare(await loadModel(path, { directory: scratch(), limits: LIMITS }));
  return new Map(model.graph.initializer.map((tensor) => [tensor.name, tensorFloats(tensor, model.directory)]));
};

describe('a branch that hardly does anything', () => {
  it('is left out, and counted as what is not there any more', async () => {
    const result = await compress({ mac_ratio: 1.8 });
    expect(dropped(result)).toEqual(BLOCK);
    expect(result.verdict.passed).toBe(true);
    const rows = new Map(result.layers.map((row) => [row.name, row]));
    expect(rows.get('bd')).toMatchObject({
      ...{ status: 'done', rank: null, groups: null, latency_ms: null },
      parameters: { before: 144, after: 0, ratio: null },
      macs: { after: 0, ratio: null },
    });
    const model = await loadModel(join(result.output, 'model.onnx'), { directory: scratch(), limits: LIMITS });
    const listed = await listLayers(prepare(model), batchOf([3, SIDE, SIDE], 2), { threads: 1 });
    expect(result.metrics.parameters.after).toBe(listed.parameters);
    expect(result.layers.reduce((sum, row) => sum + row.parameters.after, 0)).toBe(listed.parameters);
    expect(result.layers.reduce((sum, row) => sum + row.macs.after, 0)).toBe(listed.macs);
    // Nothing is left of it: no sum, and no second rectifier of what is one already.
    expect(model.graph.node.filter(({ opType }) => opType === 'Add').length).toBe(1);
    expect(model.graph.node.filter(({ opType }) => opType === 'Identity')).toEqual([]);
    expect(model.graph.initializer.filter(({ name }) => name.startsWith('b'))).toEqual([]);
    // Layers around it are timed all the same.
    for (const { decision, latency_ms: latency } of result.layers)
      if (decision === 'compressed') expect(latency).not.toBeNull();
    const kept = await compress({ mac_ratio: 1.8 }, { drop_branches: false });
    expect(dropped(kept)).toEqual([]);
    expect(result.metrics.fidelity.relative_error).toBeLessThan(kept.metrics.fidelity.relative_error);
  });

  it.each([
    ['drop_branches', { drop_branches: false }],
    ['a layer of it that is excluded', { layers: { exclude: ['bd'] } }],
    ['a layer of it that is not included', { layers: { include: ['first', 'a1', 'a2', 'b1', 'last'] } }],
  ])('stays for %s', async (_, method) => {
    expect(dropped(await compress({ mac_ratio: 1.3 }, method))).toEqual([]);
  });

  it.each([
    ['bytes_ratio', { bytes_ratio: 6 }, {}],
    ['integers', { mac_ratio: 1.8 }, { weights: { coding: 'static_int8', integer_layers: 'all' } }],
    ['tables', { parameter_ratio: 1.8 }, { weights: { coding: 'codebook' } }],
    ['layers that are fitted one by one', { mac_ratio: 1.8 }, { inputs: 'symmetric' }],
    ['the outputs of layers behind it', { mac_ratio: 1.8 }, { inputs: 'asymmetric', reconstruction: 'linear' }],
    ['all layers together', { mac_ratio: 1.8 }, { distillation_passes: 4 }],
  ])('is left out with %s', async (_, target, method) => {
    const result = await compress(target, method);
    expect(dropped(result)).toEqual(BLOCK);
    expect(result.verdict.checks[0]).toMatchObject({ passed: true });
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.5);
  });

  it('changes all weights that stay, depthwise ones as well, where all layers are changed together', async () => {
    const given = { distillation_passes: 4, inputs: 'symmetric' };
    const { metrics, output } = await compress({ mac_ratio: 1.8 }, given);
    expect(metrics.distillation).toMatchObject({ passes: 4, kept: true });
    const [before, after] = [await weightsOf(files.model), await weightsOf(join(output, 'model.onnx'))];
    for (const name of ['first.w', 'ad.w', 'last.w']) {
      expect(after.get(name)?.length).toBe(before.get(name)?.length);
      expect(after.get(name)).not.toEqual(before.get(name));
    }
  });

  it('is left out of a network for TensorFlow.js', async () => {
    const result = await compress({ mac_ratio: 1.8 }, {}, { output: { format: 'tfjs_graph' } });
    expect(dropped(result)).toEqual(BLOCK);
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.3);
  });

  it('is left out for a wish about the outputs, and back where all else gives way', async () => {
    const near = await compress({ max_relative_error: 0.2 });
    expect(dropped(near)).toEqual(BLOCK);
    const exact = await compress({ max_relative_error: 1e-5 });
    expect(dropped(exact)).toEqual([]);
    expect(exact.layers.reduce((sum, row) => sum + row.parameters.after, 0)).toBe(exact.metrics.parameters.after);
    for (const row of exact.layers) expect(row.parameters.ratio).not.toBeNull();
  });
});

describe('a network of which branches may be left out', () => {
  it('keeps the projection beside one, behind layers that are compressed', async () => {
    const model = proto({
      input: [3, SIDE, SIDE],
      output: 'logits',
      tensors: [
        ...plainWeights('first', 1, { channels: 3, size: 0.4 }),
        ...plainWeights('mid', 2),
        ...plainWeights('a1', 3),
        ...plainWeights('a2', 4, { size: 0.002 }),
        ...plainWeights('proj', 5, { kernel: 1, size: 0.4 }),
        weights('last.w', [CLASSES, CHANNELS * SIDE * SIDE], 0.1, 6),
        tensorOf('last.b', [CLASSES]),
      ],
      nodes: [
        plain('first', 'x', 'p'),
        node('Relu', ['p'], 'q'),
        plain('mid', 'q', 'r'),
        node('Relu', ['r'], 's'),
        plain('a1', 's', 't'),
        node('Relu', ['t'], 'u'),
        plain('a2', 'u', 'v'),
        plain('proj', 's', 'w', 1),
        node('Add', ['v', 'w'], 'sum'),
        node('Relu', ['sum'], 'z'),
        node('Flatten', ['z'], 'f'),
        node('Gemm', ['f', 'last.w', 'last.b'], 'logits', [makeInt('transB', 1)], 'last'),
      ],
    });
    const result = await compressOther(model, { mac_ratio: 4 });
    expect(dropped(result)).toEqual(['a1', 'a2']);
    expect(result.layers.find(({ name }) => name === 'mid')?.decision).toBe('compressed');
    expect(result.metrics.macs.ratio).toBeGreaterThanOrEqual(4);
  });

  it('never loses all of its layers', async () => {
    const model = proto({
      input: [3, SIDE, SIDE],
      tensors: [
        ...plainWeights('a', 1, { channels: 3 }),
        ...plainWeights('b', 2),
        ...plainWeights('c', 3, { m: 3, size: 0.01 }),
      ],
      nodes: [
        plain('a', 'x', 'p'),
        node('Relu', ['p'], 'q'),
        plain('b', 'q', 'r'),
        node('Relu', ['r'], 's'),
        plain('c', 's', 't'),
        node('Add', ['x', 't'], 'y'),
      ],
    });
    const { layers, metrics, verdict } = await compressOther(model, { parameter_ratio: 4 });
    expect(layers.every(({ decision }) => decision !== 'dropped')).toBe(true);
    expect(metrics.parameters.ratio).toBeGreaterThanOrEqual(4);
    expect(verdict.passed).toBe(true);
  });

  /** So many blocks, each of which does little, between a first and a last layer. */
  const blocks = (count: number, size: number): ModelProto => {
    const names = Array.from({ length: count }, (_, i) => `b${String(i)}`);
    return proto({
      input: [3, SIDE, SIDE],
      output: 'logits',
      tensors: [
        ...plainWeights('first', 1, { channels: 3, size: 0.4 }),
        ...names.flatMap((name, i) => [
          ...plainWeights(`${name}1`, 10 + i),
          weights(`${name}2.w`, [CHANNELS, CHANNELS, 3, 3], size, 30 + i),
          floatTensor(`${name}2.b`, [CHANNELS], new Float32Array(CHANNELS)),
        ]),
        weights('last.w', [CLASSES, CHANNELS * 4], 0.3, 51),
        tensorOf('last.b', [CLASSES]),
      ],
      nodes: [
        plain('first', 'x', 'p'),
        node('Relu', ['p'], 'in0'),
        ...names.flatMap((name, i) => [
          plain(`${name}1`, `in${String(i)}`, `${name}p`),
          node('Relu', [`${name}p`], `${name}q`),
          plain(`${name}2`, `${name}q`, `${name}r`),
          node('Add', [`${name}r`, `in${String(i)}`], `${name}s`),
          node('Relu', [`${name}s`], `in${String(i + 1)}`),
        ]),
        node('MaxPool', [`in${String(count)}`], 'h', [makeInts('kernel_shape', [4, 4]), makeInts('strides', [4, 4])]),
        node('Flatten', ['h'], 'f'),
        node('Gemm', ['f', 'last.w', 'last.b'], 'logits', [makeInt('transB', 1)], 'last'),
      ],
    });
  };

  it('is not less compressed for it, where the outputs are asked to be so good', async () => {
    const ratio = async (method: object) => {
      const wish = { max_relative_error: 0.15 };
      return (await compressOther(blocks(2, 0.06), wish, { distillation_passes: 2, ...method })).metrics.parameters
        .ratio;
    };
    expect(await ratio({})).toBeGreaterThan(0.8 * (await ratio({ drop_branches: false })));
  });

  it('is compressed where all layers that may be are in branches', async () => {
    const method = { layers: { exclude: ['first', 'last'] } };
    const { metrics, layers } = await compressOther(blocks(2, 0.02), { max_relative_error: 0.2 }, method);
    expect(metrics.parameters.ratio).toBeGreaterThan(1.3);
    expect(layers.some(({ decision, name }) => decision !== 'dropped' && name.startsWith('b'))).toBe(true);
  });

  it('keeps the weights that the client wants as they are', async () => {
    const method = { layers: { exclude: ['first', 'last'] }, distillation_passes: 4, inputs: 'symmetric' };
    const result = await compressOther(blocks(2, 0.01), { mac_ratio: 1.6 }, method);
    expect(dropped(result).length).toBe(2);
    expect(result.metrics.distillation?.passes).toBe(4);
    const [before, after] = [await weightsOf(result.sent), await weightsOf(join(result.output, 'model.onnx'))];
    for (const name of ['first.w', 'first.b', 'last.w', 'last.b']) expect(after.get(name)).toEqual(before.get(name));
  });
});
