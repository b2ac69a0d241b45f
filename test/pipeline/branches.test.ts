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
    const weightsOf = async (path: string) => {
      const model = prepare(await loadModel(path, { directory: scratch(), limits: LIMITS }));
      return new Map(model.graph.initializer.map((tensor) => [tensor.name, tensorFloats(tensor, model.directory)]));
    };
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
