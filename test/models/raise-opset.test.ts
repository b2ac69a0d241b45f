import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/errors/index.js';
import { prepare, raiseOpset, Runner, type Model } from '../../src/models/index.js';
import { makeFloat, makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { int64Tensor } from '../../src/models/ir/tensors.js';
import { batchOf, build, node, tensorOf, type Sketch } from './graphs.js';

const text = (name: string, s: string) => ({ name, type: 3, s: Buffer.from(s) });

const OLD: Record<string, Sketch> = {
  'Clip with limits as attributes': {
    input: [4],
    nodes: [node('Clip', ['x'], 'y', [makeFloat('min', -0.5), makeFloat('max', 1)])],
    tensors: [],
  },
  'Clip with one limit': { input: [4], nodes: [node('Clip', ['x'], 'y', [makeFloat('min', 0)])], tensors: [] },
  'Clip without limits': { input: [4], nodes: [node('Clip', ['x'], 'y')], tensors: [] },
  'Pad with a value': {
    input: [2, 3, 3],
    nodes: [node('Pad', ['x'], 'y', [makeInts('pads', [0, 0, 1, 0, 0, 0, 2, 1]), makeFloat('value', 1.5)])],
    tensors: [],
  },
  'Slice to the end': {
    input: [2, 5, 5],
    nodes: [
      node('Slice', ['x'], 'a', [
        makeInts('starts', [1, -3]),
        { name: 'ends', type: 7, ints: [{ low: -1, high: 0x7fffffff, unsigned: false, toNumber: () => 2 ** 63 }, -1] },
        makeInts('axes', [1, 2]),
      ]),
      node('Slice', ['a'], 'y', [makeInts('starts', [0, 0]), makeInts('ends', [2, 1])]),
    ],
    tensors: [],
  },
  'Softmax over several axes at once': { input: [2, 3, 4], nodes: [node('Softmax', ['x'], 'y')], tensors: [] },
  'Softmax over the last of three': {
    input: [3, 4],
    nodes: [node('LogSoftmax', ['x'], 'y', [makeInt('axis', 2)])],
    tensors: [],
  },
  'Squeeze, Unsqueeze, ReduceSum, Split': {
    input: [4, 1, 6],
    nodes: [
      node('Squeeze', ['x'], 'a', [makeInts('axes', [2])]),
      node('ReduceSum', ['a'], 'b', [makeInts('axes', [1]), makeInt('keepdims', 0)]),
      node('Unsqueeze', ['b'], 'c', [makeInts('axes', [1, 2])]),
      { ...node('Split', ['c'], 'd', [makeInts('split', [2, 4]), makeInt('axis', 3)]), output: ['d', 'e'] },
      node('Squeeze', ['e'], 'y'),
    ],
    tensors: [],
  },
  'ReduceSum over everything': { input: [4, 3], nodes: [node('ReduceSum', ['x'], 'y')], tensors: [] },
  'Conv, pooling, LeakyRelu, Gemm, Dropout as an output': {
    input: [3, 8, 8],
    tensors: [tensorOf('w', [4, 3, 3, 3]), tensorOf('b', [4]), tensorOf('w2', [36, 5]), tensorOf('b2', [5])],
    nodes: [
      node('Conv', ['x', 'w', 'b'], 'a', [text('auto_pad', 'VALID')]),
      node('LeakyRelu', ['a'], 'r'),
      node('MaxPool', ['r'], 'p', [makeInts('kernel_shape', [2, 2]), makeInts('strides', [2, 2])]),
      node('Flatten', ['p'], 'f'),
      node('Gemm', ['f', 'w2', 'b2'], 'g'),
      node('Dropout', ['g'], 'y'),
    ],
  },
  'an output by Reshape with a constant shape': {
    input: [4, 3],
    tensors: [int64Tensor('shape', [2], [0, -1])],
    nodes: [node('Reshape', ['x', 'shape'], 'y')],
  },
};

/** Forms that ended before 13: there is nothing to raise in a model that cannot have them. */
const LAST: Record<string, number> = { Clip: 10, Pad: 10, Slice: 9 };
const existsIn = (opset: number, nodes: Sketch['nodes']) => nodes.every(({ opType }) => opset <= (LAST[opType] ?? 12));

async function outputs(model: Model, input: number[], count: number) {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    return (await runner.run(batchOf(input, count))).get('y');
  } finally {
    await runner.release();
  }
}

describe('raising the operator set', () => {
  describe.each([7, 8, 9, 10, 11, 12])('from %i', (opset) => {
    it.each(Object.entries(OLD).filter(([, { nodes }]) => existsIn(opset, nodes)))(
      'computes the very same: %s',
      async (_, sketch) => {
        const model = prepare(await build({ ...sketch, opset }));
        const raised = raiseOpset(model);
        expect(raised.opset).toBe(13);
        expect(raised.proto.opsetImport[0]?.version).toBe(13);
        for (const count of [1, 3]) {
          const [before, after] = [
            await outputs(model, sketch.input, count),
            await outputs(raised, sketch.input, count),
          ];
          expect(after?.dims).toEqual(before?.dims);
          expect(after?.data).toEqual(before?.data);
        }
        expect(model.opset).toBe(opset);
      },
    );
  });

  it('leaves 13 and newer as they are', async () => {
    const model = await build({ input: [4], nodes: [node('Relu', ['x'], 'y')], tensors: [], opset: 17 });
    expect(raiseOpset(model)).toBe(model);
  });

  it('refuses what means something else since, and says which node', async () => {
    const nodes = [
      node('Upsample', ['x', 's'], 'y', [text('mode', 'nearest')], 'grow'),
      node('Hardmax', ['x'], 'y', [], 'hard'),
    ];
    for (const one of nodes) {
      const tensors =
        one.opType === 'Upsample'
          ? [{ ...tensorOf('s', [4]), rawData: new Uint8Array(Float32Array.of(1, 1, 2, 2).buffer) }]
          : [];
      const model = prepare(await build({ input: [3, 4, 4], nodes: [one], tensors, opset: 9 }));
      const attempt = () => raiseOpset(model);
      expect(attempt).toThrow(InputError);
      try {
        attempt();
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        expect(error.message).toMatch(/opset 13.*(grow|hard).*opset 9/);
        expect(error.faults.map(({ pointer }) => pointer)).toContain('/method/weights/coding');
      }
    }
  });
});
