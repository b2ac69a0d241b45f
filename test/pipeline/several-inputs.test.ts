import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeNpz, type Tensor } from '../../src/datasets/index.js';
import { InputError } from '../../src/errors/index.js';
import { loadModel, Runner } from '../../src/models/index.js';
import { makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { DataType, type ModelProto } from '../../src/models/ir/messages.js';
import { int64Tensor } from '../../src/models/ir/tensors.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { batchOf, node, noise, proto, scratch, tensorOf, writeProto } from '../models/graphs.js';
import { LIMITS, localOptions } from './network.js';

const SIDE = 8;

/** A map, a row beside it and whole numbers, joined; two outputs. */
function network(batch?: number): ModelProto {
  const pads = [makeInts('pads', [1, 1, 1, 1])];
  const model = proto({
    input: [3, SIDE, SIDE],
    ...(batch === undefined ? {} : { batch }),
    others: { side: { input: [6], type: DataType.FLOAT }, kind: { input: [1], type: DataType.INT64 } },
    tensors: [
      tensorOf('w0', [16, 3, 3, 3], 11),
      tensorOf('w1', [16, 16, 3, 3], 21),
      tensorOf('ws', [6, 16], 31),
      tensorOf('table', [4, 16], 41),
      tensorOf('wf', [32, 5], 51),
    ],
    nodes: [
      node('Conv', ['x', 'w0'], 'c0', pads, 'conv0'),
      node('Relu', ['c0'], 'a0'),
      node('Conv', ['a0', 'w1'], 'c1', pads, 'conv1'),
      node('GlobalAveragePool', ['c1'], 'g'),
      node('Flatten', ['g'], 'map'),
      node('MatMul', ['side', 'ws'], 's', [], 'beside'),
      node('Gather', ['table', 'kind'], 'e3'),
      node('Flatten', ['e3'], 'e'),
      node('Add', ['s', 'e'], 'row'),
      node('Concat', ['map', 'row'], 'j', [makeInt('axis', 1)]),
      node('MatMul', ['j', 'wf'], 'y', [], 'classifier'),
    ],
  });
  model.graph?.output.push({ name: 'c1', type: { tensorType: { elemType: DataType.FLOAT } } });
  return model;
}

const samples = (count: number, seed: number): Record<string, Tensor> => ({
  x: { dims: [count, 3, SIDE, SIDE], data: noise(count * 3 * SIDE * SIDE, seed).map((v) => 2 * v) },
  side: { dims: [count, 6], data: noise(count * 6, seed + 1) },
  kind: { dims: [count, 1], data: BigInt64Array.from({ length: count }, (_, i) => BigInt(i % 4)) },
});

async function written(arrays: Record<string, Tensor>): Promise<string> {
  const path = join(scratch(), 'samples.npz');
  await writeNpz(path, arrays);
  return path;
}

let data: { calibration: string; evaluation: string };
beforeAll(async () => {
  const labels = { dims: [64], data: Int32Array.from({ length: 64 }, (_, i) => i % 5) };
  data = {
    calibration: await written(samples(96, 7)),
    evaluation: await written({ ...samples(64, 8), y: labels }),
  };
});

describe('a network with several inputs', () => {
  it.each([undefined, 4])('goes the whole way, distillation included (batch %s)', async (batch) => {
    const output = scratch();
    const files = { ...data, model: writeProto(network(batch)) };
    const method = { distillation_passes: 1, error_metric: 'outputs' };
    const result = await compressLocally(
      localOptions(files, output, { method, target: { parameter_ratio: 1.5 }, benchmark: { batch_sizes: [1, 2] } }),
    );
    expect(result.metrics.parameters.ratio).toBeGreaterThanOrEqual(1.5);
    expect(result.metrics.distillation?.passes).toBe(1);
    expect(result.metrics.accuracy?.samples).toBe(64);
    expect(result.metrics.latency.map((entry) => entry.batch)).toEqual(batch === undefined ? [1, 2] : [batch]);
    const runner = await Runner.open(
      await loadModel(join(output, 'model.onnx'), { directory: scratch(), limits: LIMITS }),
      { threads: 1 },
    );
    expect(runner.inputs.map(({ name, type }) => [name, type])).toEqual([
      ['x', 'float32'],
      ['side', 'float32'],
      ['kind', 'int64'],
    ]);
    const count = batch ?? 2;
    const values = await runner.run(
      new Map<string, Tensor>([
        ['x', batchOf([3, SIDE, SIDE], count)],
        ['side', batchOf([6], count)],
        ['kind', { dims: [count, 1], data: Int32Array.from({ length: count }, (_, i) => i % 4) }],
      ]),
    );
    expect(values.get('c1')?.dims).toEqual([count, 16, SIDE, SIDE]);
    await runner.release();
  });

  it.each([{ speedup: 1.01 }, { max_accuracy_drop: 0.9 }])('is planned by what all inputs give: %o', async (target) => {
    const files = { ...data, model: writeProto(network()) };
    const run = compressLocally(localOptions(files, scratch(), { target, benchmark: { batch_sizes: [1] } }));
    // Whether this machine is faster is not the point: that it was measured is.
    const result = await run.catch((error: unknown) => error as InputError);
    if (result instanceof Error) expect(result.code).toBe('unreachable_target');
    else expect(result.metrics.accuracy?.samples).toBe(64);
  });

  it('names the input that has no samples, and all whose samples are bad', async () => {
    const model = writeProto(network());
    const refusal = async (arrays: Record<string, Tensor>): Promise<InputError> => {
      const files = { ...data, calibration: await written(arrays), model };
      const error: unknown = await compressLocally(localOptions(files, scratch())).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(InputError);
      return error as InputError;
    };
    const { x, side, kind } = samples(20, 3);
    if (x === undefined || side === undefined || kind === undefined) throw new Error('no samples');
    const lacking = await refusal({ x, side });
    expect(lacking.message).toMatch(/the model has the inputs x, side, kind; the dataset has no array kind/);
    const float = { dims: [20, 1], data: new Float32Array(20) };
    const bad = await refusal({ x, side: { dims: [20, 3], data: new Float32Array(60) }, kind: float });
    expect(bad.faults.map(({ pointer }) => pointer)).toEqual(['#calibration/side', '#calibration/kind']);
    expect(bad.message).toMatch(/side has the shape \[20, 3\].*kind is float32, but the model's input kind is int64/);
  });
});

it('sizes that the model leaves open are those of the samples, also others for the evaluation', async () => {
  const side = (count: number, size: number) =>
    written({ x: { dims: [count, 3, size, size], data: noise(count * 3 * size * size, size) } });
  const model = proto({
    input: [3, 8, 8],
    tensors: [tensorOf('w0', [16, 3, 3, 3], 1), tensorOf('w1', [16, 16, 3, 3], 2)],
    nodes: [
      node('Conv', ['x', 'w0'], 'c', [makeInts('pads', [1, 1, 1, 1])], 'a'),
      node('Relu', ['c'], 'r'),
      node('Conv', ['r', 'w1'], 'y', [makeInts('pads', [1, 1, 1, 1])], 'b'),
    ],
  });
  for (const input of model.graph?.input ?? []) {
    const dim = ['N', 3, 'H', 'W'].map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
    input.type = { tensorType: { elemType: DataType.FLOAT, shape: { dim } } };
  }
  const files = { model: writeProto(model), calibration: await side(24, 10), evaluation: await side(8, 13) };
  const result = await compressLocally(localOptions(files, scratch(), { target: { parameter_ratio: 2 } }));
  expect(result.metrics.parameters.ratio).toBeGreaterThanOrEqual(2);
  expect(result.metrics.fidelity.samples).toBe(8);
});

it('refuses a network whose fixed first axis is not that of the samples', async () => {
  const model = proto({
    ...{ input: [1, 8], batch: 6, tensors: [tensorOf('w', [8, 5])] },
    nodes: [
      node('MatMul', ['x', 'w'], 'm', [], 'fc'),
      node('ReduceSum', ['m', 'first'], 'y', [makeInt('keepdims', 0)]),
    ],
  });
  model.graph?.initializer.push(int64Tensor('first', [1], [0]));
  const calibration = await written({ x: { dims: [12, 1, 8], data: noise(96) } });
  const files = { model: writeProto(model), calibration, evaluation: calibration };
  const run = compressLocally(localOptions(files, scratch(), { target: { parameter_ratio: 1.2 } }));
  await expect(run).rejects.toThrow(/no output has a row for each \(\[1, 5\]\)/);
});
