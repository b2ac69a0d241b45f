import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { listLayers, loadModel, prepare, Runner, saveModel, type Model } from '../../src/models/index.js';
import { makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { decodeModel } from '../../src/models/ir/codec.js';
import { DataType, type GraphProto, type ModelProto } from '../../src/models/ir/messages.js';
import { floatTensor, tensorFloats } from '../../src/models/ir/tensors.js';
import { FLOAT_TYPES, inType, tensorIn } from './float-types.js';
import { batchOf, LIMITS, node, proto, scratch, tensorOf, writeProto, type Sketch } from './graphs.js';

const SAMPLE = [3, 6, 6];
const sketch: Sketch = {
  input: SAMPLE,
  tensors: [tensorOf('w1', [16, 3, 3, 3]), tensorOf('b1', [16]), tensorOf('w2', [8, 16, 3, 3])],
  nodes: [
    node('Conv', ['x', 'w1', 'b1'], 'c', [makeInts('pads', [1, 1, 1, 1])], 'first'),
    node('Relu', ['c'], 'r'),
    node('Conv', ['r', 'w2'], 'y', [], 'second'),
  ],
};

const loaded = (model: ModelProto): Promise<Model> =>
  loadModel(writeProto(model), { directory: scratch(), limits: LIMITS });

async function outputOf(model: Model, sample = SAMPLE): Promise<number[]> {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    return [...((await runner.run(batchOf(sample, 2))).get('y')?.data ?? [])].map(Number);
  } finally {
    await runner.release();
  }
}

async function saved(model: Model): Promise<{ path: string; graph: GraphProto }> {
  const path = join(scratch(), 'saved.onnx');
  await saveModel(model, path);
  const { graph } = decodeModel(readFileSync(path));
  if (graph == null) throw new Error('no graph');
  return { path, graph };
}

const near = (a: readonly number[], b: readonly number[]): void => {
  expect(a).toHaveLength(b.length);
  expect(Math.max(...a.map((v, i) => Math.abs(v - (b[i] ?? NaN))))).toBeLessThan(1e-4);
};

describe.each(Object.entries(FLOAT_TYPES))('a network of %s', (name, type) => {
  const single = () => {
    const model = proto(sketch);
    if (model.graph != null)
      model.graph.initializer = model.graph.initializer.map((tensor) =>
        floatTensor(tensor.name, tensor.dims.map(Number), tensorFloats(tensorIn(type, tensor), null)),
      );
    return loaded(model);
  };

  it('computes in float32 with its own numbers, and none of its layers is left out', async () => {
    const model = await loaded(inType(type, proto(sketch)));
    near(await outputOf(model), await outputOf(await single()));
    const { layers } = await listLayers(prepare(model), batchOf(SAMPLE, 2), { threads: 1 });
    expect(layers.map(({ blocked, activation }) => [blocked, activation.kind])).toEqual([
      [null, 'relu'],
      [null, 'identity'],
    ]);
  });

  it('is written with its inputs and outputs, its weights no larger than float32', async () => {
    const model = prepare(await loaded(inType(type, proto(sketch))));
    const { path, graph } = await saved(model);
    const ports = [...graph.input, ...graph.output];
    expect(ports.map((port) => [port.name, port.type?.tensorType?.elemType])).toEqual([
      ['x', type],
      ['y', type],
    ]);
    const large = graph.initializer.filter(({ dims }) => dims.length === 4);
    const kept = name === 'double' ? DataType.FLOAT : type;
    expect(large.map(({ dataType }) => dataType)).toEqual([kept, kept]);
    const again = await loadModel(path, { directory: scratch(), limits: LIMITS });
    near(await outputOf(again), await outputOf(model));
    // The runtime itself takes the file as it is; its binding for Node.js knows no tensors of bfloat16.
    if (name === 'bfloat16') return;
    const runner = await Runner.open(path, { threads: 1 });
    expect(runner.inputs[0]?.type).toBe(name === 'double' ? 'float64' : name);
    await runner.release();
  });
});

it('casts between floats are none, casts of other types stay', async () => {
  const mixed = proto({
    ...sketch,
    tensors: [...sketch.tensors.map((tensor) => tensorIn(DataType.FLOAT16, tensor))],
    nodes: [
      node('Cast', ['x'], 'h', [makeInt('to', DataType.FLOAT16)]),
      node('Conv', ['h', 'w1', 'b1'], 'c', [makeInts('pads', [1, 1, 1, 1])], 'first'),
      node('Cast', ['c'], 'f', [makeInt('to', DataType.FLOAT)]),
      node('Relu', ['f'], 'r'),
      node('Greater', ['r', 'half'], 'g'),
      node('Cast', ['g'], 'mask', [makeInt('to', DataType.FLOAT16)]),
      node('Cast', ['r'], 'rh', [makeInt('to', DataType.FLOAT16)]),
      node('Mul', ['rh', 'mask'], 'm'),
      node('Conv', ['m', 'w2'], 'y', [], 'second'),
    ],
  });
  mixed.graph?.initializer.push(floatTensor('half', [], Float32Array.of(0.5)));
  for (const port of mixed.graph?.output ?? []) if (port.type?.tensorType != null) port.type.tensorType.elemType = 10;
  const model = prepare(await loaded(mixed));
  expect(model.graph.node.filter(({ opType }) => opType === 'Cast').map(({ output }) => output[0])).toEqual(['mask']);
  const { layers } = await listLayers(model, batchOf(SAMPLE, 2), { threads: 1 });
  expect(layers.map(({ blocked }) => blocked)).toEqual([null, null]);
  const { graph } = await saved(model);
  expect([...graph.input, ...graph.output].map((port) => port.type?.tensorType?.elemType)).toEqual([1, 10]);
});

it('the lowest double of a mask stays a number', async () => {
  const model = await loaded({
    ...proto({
      input: [4],
      tensors: [
        {
          name: 'mask',
          dims: [4],
          dataType: DataType.DOUBLE,
          rawData: new Uint8Array(Float64Array.of(0, -Number.MAX_VALUE, 0, -Infinity).buffer),
        },
      ],
      nodes: [
        node('Cast', ['mask'], 'm', [makeInt('to', DataType.FLOAT)]),
        node('Add', ['x', 'm'], 's'),
        node('Softmax', ['s'], 'y'),
      ],
    }),
  });
  const values = await outputOf(model, [4]);
  expect([values[1], values[3]]).toEqual([0, 0]);
  expect((values[0] ?? 0) + (values[2] ?? 0)).toBeCloseTo(1, 5);
});

it('what subgraphs read of a half network is cast there, too', async () => {
  const float = (name: string) => ({ name, type: { tensorType: { elemType: DataType.FLOAT16 } } });
  const branch = (op: string): GraphProto => ({
    ...{ name: op, initializer: [], input: [], valueInfo: [] },
    node: [node(op, ['x'], `out_${op}`)],
    output: [float(`out_${op}`)],
  });
  const model = proto({
    input: [4],
    tensors: [tensorOf('w', [4, 80])],
    nodes: [
      node('ReduceSum', ['x'], 'sum', [makeInt('keepdims', 0)]),
      node('Cast', ['sum'], 'condition', [makeInt('to', DataType.BOOL)]),
      node('If', ['condition'], 'i', [
        { name: 'then_branch', type: 5, g: branch('Relu') },
        { name: 'else_branch', type: 5, g: branch('Neg') },
      ]),
      node('MatMul', ['i', 'w'], 'y', [], 'fc'),
    ],
  });
  const half = await loaded(inType(DataType.FLOAT16, model));
  const before = await outputOf(half, [4]);
  const { path, graph } = await saved(prepare(half));
  expect(graph.input[0]?.type?.tensorType?.elemType).toBe(DataType.FLOAT16);
  const runner = await Runner.open(path, { threads: 1 });
  await runner.release();
  near(await outputOf(await loadModel(path, { directory: scratch(), limits: LIMITS }), [4]), before);
});
