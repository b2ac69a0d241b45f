import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeNpz, type Tensor } from '../../src/datasets/index.js';
import { loadModel, portsOf, Runner } from '../../src/models/index.js';
import { makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { DataType, type ModelProto } from '../../src/models/ir/messages.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { node, noise, proto, scratch, tensorOf, writeProto } from '../models/graphs.js';
import { attr, GraphSketch } from '../models/tfjs/graphs.js';
import { zip } from '../models/tfjs/reference.js';
import { LIMITS, localOptions } from './network.js';

const SIDE = 8;
const STATE = 16;

type Shape = (number | string)[];
const input = (name: string, shape: Shape) => ({
  name,
  type: {
    tensorType: {
      elemType: DataType.FLOAT,
      shape: { dim: shape.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size })) },
    },
  },
});

/** Convolutions over `x`, added to the mean of a state of two layers; the state goes on, and a number scales the rest. */
function stateful(state: Shape): ModelProto {
  const pads = [makeInts('pads', [1, 1, 1, 1])];
  const model = proto({
    input: [3, SIDE, SIDE],
    tensors: [
      tensorOf('w0', [STATE, 3, 3, 3], 11),
      tensorOf('w1', [STATE, STATE, 3, 3], 21),
      tensorOf('wf', [STATE, 5], 51),
    ],
    nodes: [
      node('Conv', ['x', 'w0'], 'c0', pads, 'conv0'),
      node('Relu', ['c0'], 'a0'),
      node('Conv', ['a0', 'w1'], 'c1', pads, 'conv1'),
      node('GlobalAveragePool', ['c1'], 'g'),
      node('Flatten', ['g'], 'map'),
      node('ReduceMean', ['state'], 'mean', [makeInts('axes', [0]), makeInt('keepdims', 0)]),
      node('Add', ['map', 'mean'], 'row'),
      node('Mul', ['row', 'gain'], 'scaled'),
      node('MatMul', ['scaled', 'wf'], 'y', [], 'classifier'),
      node('Add', ['state', 'row'], 'next'),
    ],
  });
  model.graph?.input.push(input('state', state), input('gain', []));
  model.graph?.output.push({ name: 'next', type: { tensorType: { elemType: DataType.FLOAT } } });
  return model;
}

const pictures = (count: number, seed: number): Tensor => ({
  dims: [count, 3, SIDE, SIDE],
  data: noise(count * 3 * SIDE * SIDE, seed).map((v) => 2 * v),
});
const tensor = (dims: number[], seed: number): Tensor => ({
  dims,
  data: noise(
    dims.reduce((a, b) => a * b, 1),
    seed,
  ),
});

async function written(arrays: Record<string, Tensor>): Promise<string> {
  const path = join(scratch(), 'samples.npz');
  await writeNpz(path, arrays);
  return path;
}

async function compressed(model: string, calibration: string) {
  const output = scratch();
  const files = { model, calibration, evaluation: calibration };
  const method = { distillation_passes: 1 };
  const spec = { method, target: { parameter_ratio: 1.3 }, benchmark: { batch_sizes: [1, 4] } };
  const result = await compressLocally(localOptions(files, output, spec));
  const load = (path: string) => loadModel(path, { directory: scratch(), limits: LIMITS });
  return { result, before: await load(model), after: await load(join(output, 'model.onnx')) };
}

const N = 96;

describe('a network with inputs that have no axis for samples', () => {
  it.each<[string, Shape, Record<string, Tensor>]>([
    [
      'one for each sample, and one for all',
      [2, 'batch', STATE],
      { state: tensor([N, 2, 1, STATE], 3), gain: tensor([], 4) },
    ],
    ['one for all, and one for each sample', [2, 1, STATE], { state: tensor([2, 1, STATE], 3), gain: tensor([N], 4) }],
  ])('is run on one sample at a time, with %s', async (_, state, others) => {
    const calibration = await written({ x: pictures(N, 7), ...others });
    const { result, before, after } = await compressed(writeProto(stateful(state)), calibration);
    expect(result.metrics.parameters.ratio).toBeGreaterThanOrEqual(1.3);
    expect(result.metrics.latency.map(({ batch }) => batch)).toEqual([1]);
    expect(result.metrics.distillation?.passes).toBe(1);
    expect(portsOf(after)).toEqual(portsOf(before));
    // Other samples, fed as any user of the file would.
    const runners = [await Runner.open(before, { threads: 1 }), await Runner.open(after, { threads: 1 })];
    let [squares, total] = [0, 0];
    for (let i = 0; i < 32; i++) {
      const given = new Map([
        ['x', pictures(1, 100 + i)],
        ['state', tensor([2, 1, STATE], 200 + i)],
        ['gain', tensor([], 300 + i)],
      ]);
      const [a, b] = await Promise.all(runners.map((runner) => runner.feed(given)));
      expect(a?.get('next')?.dims).toEqual([2, 1, STATE]);
      const changed = b?.get('y')?.data ?? [];
      for (const [at, value] of (a?.get('y')?.data ?? []).entries()) {
        squares += (Number(value) - Number(changed[at])) ** 2;
        total += Number(value) ** 2;
      }
    }
    for (const runner of runners) await runner.release();
    expect(squares / total).toBeLessThan(0.2);
  });

  it('takes a sequence for each sample where the first axis is time', async () => {
    const model = proto({
      input: [24],
      tensors: [tensorOf('wa', [24, 48], 1), tensorOf('wb', [48, 24], 2)],
      nodes: [
        node('MatMul', ['x', 'wa'], 'a', [], 'first'),
        node('Relu', ['a'], 'r'),
        node('MatMul', ['r', 'wb'], 'y', [], 'second'),
      ],
    });
    model.graph?.input.splice(0, 1, input('x', ['time', 'batch', 24]));
    const path = writeProto(model);
    const calibration = await written({ x: tensor([N, 6, 1, 24], 9) });
    const { result, after } = await compressed(path, calibration);
    expect(result.metrics.parameters.ratio).toBeGreaterThanOrEqual(1.3);
    const runner = await Runner.open(after, { threads: 1 });
    const values = await runner.feed(new Map([['x', tensor([5, 3, 24], 2)]]));
    expect(values.get('y')?.dims).toEqual([5, 3, 24]);
    await runner.release();
    await expect(compressed(path, await written({ x: tensor([6, N, 24], 9) }))).rejects.toThrow(
      /x is the same for all samples.*: an array \[samples, time, 1, 24\] has it for each sample/,
    );
  });

  it('is measured in TensorFlow.js, too', async () => {
    const sketch = new GraphSketch([24]);
    const dim = [2, 1, 24].map((size) => ({ size: String(size) }));
    const T = attr.type('DT_FLOAT');
    sketch.node('state', 'Placeholder', [], { dtype: T, shape: { shape: { dim } } });
    const weights = (shape: number[], seed: number) =>
      sketch.constant({ shape, dtype: 'float32', values: tensor(shape, seed).data as Float32Array });
    const sides = { T, transpose_a: attr.flag(false), transpose_b: attr.flag(false) };
    sketch.node('a', 'MatMul', ['x', weights([24, 48], 1)], sides);
    sketch.node('r', 'Relu', ['a'], { T });
    sketch.node('b', 'MatMul', ['r', weights([48, 24], 2)], sides);
    sketch.node('mean', 'Mean', ['state', sketch.ints(0)], { T, keep_dims: attr.flag(false) });
    sketch.node('y', 'AddV2', ['b', 'mean'], { T });
    sketch.node('next', 'AddV2', ['state', 'y'], { T });
    const port = (name: string) => [name, { name: `${name}:0`, dtype: 'DT_FLOAT' }];
    const files = sketch.files(['y', 'next'], {
      inputs: Object.fromEntries(['x', 'state'].map(port)),
      outputs: Object.fromEntries(['y', 'next'].map(port)),
    });
    const model = await zip(files, join(scratch(), 'model.zip'));
    const calibration = await written({ x: tensor([N, 24], 9), state: tensor([2, 1, 24], 10) });
    const spec = {
      target: { parameter_ratio: 1.3 },
      method: { distillation_passes: 0 },
      benchmark: { batch_sizes: [1] },
    };
    const evaluation = await written({ x: tensor([48, 24], 11), state: tensor([2, 1, 24], 12) });
    const sent = { model, calibration, evaluation };
    const { metrics } = await compressLocally(localOptions(sent, scratch(), spec));
    const there = metrics.tensorflowjs?.fidelity.relative_error ?? NaN;
    expect(Math.abs(there - metrics.fidelity.relative_error)).toBeLessThan(1e-3);
  });

  it.each<[string, Record<string, Tensor>, RegExp]>([
    [
      'samples along the axis of the batch',
      { state: tensor([2, N, STATE], 3), gain: tensor([], 4) },
      /state has its samples along axis 1: .*\[samples, 2, 1, 16\] has it for each sample, \[2, 1, 16\] for all/,
    ],
    [
      'another size',
      { state: tensor([N, 3, 1, STATE], 3), gain: tensor([], 4) },
      /state has the shape \[96, 3, 1, 16\], but .*\[samples, 2, 1, 16\]/,
    ],
    [
      'samples in front of what is not the input',
      { state: tensor([N, 2, STATE], 3), gain: tensor([], 4) },
      /state has the shape \[96, 2, 16\]: .*\[samples, 2, 1, 16\] has it for each sample/,
    ],
    [
      'one for some samples',
      { state: tensor([2, 1, STATE], 3), gain: tensor([7], 4) },
      /gain has 7 samples, but x has 96/,
    ],
  ])('refuses %s, and says what it takes', async (_, others, message) => {
    const calibration = await written({ x: pictures(N, 7), ...others });
    await expect(compressed(writeProto(stateful([2, 'batch', STATE])), calibration)).rejects.toThrow(message);
  });
});
