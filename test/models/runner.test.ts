import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Runner, loadModel } from '../../src/models/index.js';
import { DataType } from '../../src/models/ir/messages.js';
import { int64Tensor } from '../../src/models/ir/tensors.js';
import { runtimeError } from '../../src/models/run/runtime-error.js';
import { LIMITS, batchOf, build, node, proto, scratch, tensorOf, writeProto, type Sketch } from './graphs.js';

const sketch: Sketch = {
  input: [3, 4, 4],
  tensors: [tensorOf('w', [2, 3, 3, 3])],
  nodes: [node('Conv', ['x', 'w'], 'c'), node('Relu', ['c'], 'y')],
};

async function opened<T>(model: Sketch, work: (runner: Runner) => Promise<T>, capture: string[] = []): Promise<T> {
  const runner = await Runner.open(await build(model), { threads: 1, capture });
  try {
    return await work(runner);
  } finally {
    await runner.release();
  }
}

const column = (shape: number[], type: string, input = 'x') => ({ input, array: input, shape, type, storedType: type });

describe('a runner', () => {
  it('knows its ports and returns outputs and captured tensors', async () => {
    await opened(
      sketch,
      async (runner) => {
        expect(runner.inputs).toEqual([{ name: 'x', type: 'float32', shape: ['batch', 3, 4, 4] }]);
        expect(runner.outputs.map(({ name }) => name)).toEqual(['y']);
        const values = await runner.run(batchOf([3, 4, 4], 2));
        expect([...values.keys()].sort()).toEqual(['c', 'y']);
        const before = [...(values.get('c')?.data ?? [])].map(Number);
        expect([...(values.get('y')?.data ?? [])]).toEqual(before.map((v) => Math.max(v, 0)));
      },
      ['c'],
    );
  });

  it('casts bytes to the input type of the model', async () => {
    await opened(sketch, async (runner) => {
      const data = Uint8Array.from({ length: 48 }, (_, i) => i * 5);
      const bytes = await runner.run({ dims: [1, 3, 4, 4], data });
      const floats = await runner.run({ dims: [1, 3, 4, 4], data: Float32Array.from(data) });
      expect(bytes.get('y')?.data).toEqual(floats.get('y')?.data);
      expect(runner.typed({ dims: [1, 3, 4, 4], data })).toEqual(
        new Map([['x', { dims: [1, 3, 4, 4], data: Float32Array.from(data) }]]),
      );
    });
  });

  it('feeds a model with a fixed batch size in parts, the last one padded', async () => {
    const x = batchOf([3, 4, 4], 5);
    const free = await opened(sketch, (runner) => runner.run(x));
    const fixed = await opened({ ...sketch, batch: 2 }, async (runner) => {
      expect(runner.fixedBatch).toBe(2);
      return runner.run(x);
    });
    expect(fixed.get('y')?.dims).toEqual([5, 2, 2, 2]);
    const wanted = free.get('y')?.data;
    expect([...(fixed.get('y')?.data ?? [])].every((v, i) => Math.abs(Number(v) - Number(wanted?.[i])) < 1e-6)).toBe(
      true,
    );
  });

  it.each<[string, number[], string, RegExp]>([
    ['rank', [10, 48], 'float32', /shape \[10, 48\], but the model's input x is \[batch, 3, 4, 4\]/],
    ['size', [10, 1, 4, 4], 'float32', /shape \[10, 1, 4, 4\]/],
    ['layout', [10, 4, 4, 3], 'float32', /shape \[10, 4, 4, 3\]/],
  ])('refuses samples of another %s', async (_, shape, type, message) => {
    await opened(sketch, async (runner) => {
      expect(() => {
        runner.checkSamples([column(shape, type)]);
      }).toThrow(message);
      await Promise.resolve();
    });
  });

  it('refuses float samples for a model that takes bytes', async () => {
    const bytes: Sketch = {
      ...sketch,
      inputType: DataType.UINT8,
      nodes: [node('Cast', ['x'], 'f', [{ name: 'to', type: 2, i: 1 }]), node('Conv', ['f', 'w'], 'y')],
    };
    await opened(bytes, async (runner) => {
      runner.checkSamples([column([2, 3, 4, 4], 'uint8')]);
      expect(() => {
        runner.checkSamples([column([2, 3, 4, 4], 'float32')]);
      }).toThrow(/x is float32, but the model's input x is uint8/);
      // In the words of whoever made the file, which may hold another type than what is read of it.
      expect(() => {
        runner.checkSamples([{ ...column([2, 3, 4, 4], 'float32'), storedType: 'float16' }], 'calibration');
      }).toThrow(/x is float16, but/);
      await Promise.resolve();
    });
  });

  const two = (batch?: number): Sketch => ({
    ...{ input: [3, 4], tensors: [], nodes: [node('Add', ['x', 'z'], 'y')] },
    ...(batch === undefined ? {} : { batch }),
    others: { z: { input: [1, 4], type: DataType.FLOAT } },
  });

  it.each([undefined, 2])('feeds several inputs, together padded to a fixed batch (%s)', async (batch) => {
    const [x, z] = [batchOf([3, 4], 5), batchOf([1, 4], 5, 6)];
    await opened(two(batch), async (runner) => {
      const values = await runner.run(
        new Map([
          ['z', z],
          ['x', x],
        ]),
      );
      const { dims, data } = values.get('y') ?? { dims: [], data: [] };
      expect(dims).toEqual([5, 3, 4]);
      const sum = x.data.map((v, i) => v + (z.data[4 * Math.floor(i / 12) + (i % 4)] ?? 0));
      expect([...data]).toEqual([...sum]);
    });
  });

  it('names every input that samples do not fit', async () => {
    await opened(two(), async (runner) => {
      runner.checkSamples([column([5, 3, 4], 'uint8'), column([5, 1, 4], 'float32', 'z')]);
      const check = () => {
        runner.checkSamples([column([5, 3], 'float32'), column([5, 2, 4], 'float32', 'z')], 'evaluation');
      };
      expect(check).toThrow(/x has the shape \[5, 3\], .*; evaluation: z has the shape \[5, 2, 4\]/);
      await Promise.resolve();
    });
  });

  it.each<[string, (number | string)[], RegExp]>([
    [
      'has its samples along another axis',
      [4, 'batch', 4],
      /z \[4, batch, 4\] has no axis for samples in front, and x \[2, 3, 4\] has batches of 2/,
    ],
    ['has none', [], /z \[\] has no axis for samples in front, and x \[2, 3, 4\] has batches of 2/],
    ['has batches of another size', [3, 1, 4], /batches of 2 and of 3 samples \(z \[3, 1, 4\]\)/],
  ])('refuses an input that %s', async (_, shape, message) => {
    const model = proto({ ...two(2), nodes: [node('Relu', ['x'], 'y')] });
    const dim = shape.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
    const [x] = model.graph?.input ?? [];
    if (model.graph == null || x === undefined) throw new Error('the model has no input');
    model.graph.input = [x, { name: 'z', type: { tensorType: { elemType: 1, shape: { dim } } } }];
    const loaded = await loadModel(writeProto(model), { directory: scratch(), limits: LIMITS });
    const runner = await Runner.open(loaded, { threads: 1 });
    expect(() => {
      runner.checkSamples([]);
    }).toThrow(message);
    await runner.release();
  });

  it.each<[number, string, ArrayLike<number | bigint>, string | null]>([
    [DataType.INT64, 'int32', Int32Array.of(-1, 2), null],
    [DataType.INT32, 'int64', BigInt64Array.of(-1n, 2n), null],
    [DataType.INT32, 'int64', BigInt64Array.of(2n ** 40n, 2n), 'cannot be fed'],
    [DataType.UINT8, 'int64', BigInt64Array.of(-1n, 2n), 'cannot be fed'],
    [DataType.BOOL, 'bool', Uint8Array.of(0, 1), null],
  ])('takes whole numbers of another width where they fit: %i from %s', async (inputType, type, data, refusal) => {
    const cast: Sketch = {
      ...{ input: [2], tensors: [], inputType },
      nodes: [node('Cast', ['x'], 'y', [{ name: 'to', type: 2, i: 1 }])],
    };
    await opened(cast, async (runner) => {
      runner.checkSamples([{ ...column([1, 2], type === 'bool' ? 'uint8' : type), storedType: type }]);
      const run = runner.run({ dims: [1, 2], data: data as Int32Array });
      if (refusal === null) expect([...((await run).get('y')?.data ?? [])]).toEqual(Array.from(data, Number));
      else await expect(run).rejects.toThrow(refusal);
    });
  });

  it('blames the input when the runtime refuses a model, without telling where it lies', async () => {
    const bad = await build({ ...sketch, nodes: [node('Conv', ['x', 'w'], 'c'), node('NoSuchOperator', ['c'], 'y')] });
    await expect(Runner.open(bad, { threads: 1 })).rejects.toMatchObject({
      code: 'invalid_model',
      message: expect.stringContaining('NoSuchOperator') as string,
    });
    const directory = scratch();
    const path = writeProto(
      proto({ ...sketch, nodes: [node('Conv', ['x', 'w'], 'c'), node('NoSuchOperator', ['c'], 'y')] }),
      directory,
    );
    const error = await Runner.open(path, { threads: 1 }).catch((e: unknown) => e);
    expect(String(error)).not.toContain(directory);
    expect(readdirSync(directory)).toEqual(['model.onnx']);
  });
});

/** Client's words in the runtime's messages must not decide whose fault it is. */
describe('a model whose names speak of this machine', () => {
  const shape = (name: string) => int64Tensor(name, [4], [2, 3, 5, 7]);
  const weights = tensorOf('w', [2, 3, 3, 3]);
  const conv = node('Conv', ['r', 'w'], 'y');
  const named = (name: string): [string, Sketch][] => [
    [
      'when it runs',
      {
        input: [3, 4, 4],
        tensors: [shape('s'), weights],
        nodes: [{ ...node('Reshape', ['x', 's'], 'r'), name }, conv],
      },
    ],
    [
      'when it is loaded',
      { input: [3, 4, 4], tensors: [weights], nodes: [{ ...node('Unknown', ['x'], 'r'), name }, conv] },
    ],
    [
      'by an operator',
      { input: [3, 4, 4], tensors: [weights], nodes: [{ ...node(name, ['x'], 'r'), name: 'n' }, conv] },
    ],
    [
      'by a tensor',
      { input: [3, 4, 4], tensors: [shape(name), weights], nodes: [node('Reshape', ['x', name], 'r'), conv] },
    ],
    [
      'by a text in an attribute',
      {
        input: [3, 4, 4],
        tensors: [weights],
        nodes: [node('Conv', ['x', 'w'], 'y', [{ name: 'auto_pad', type: 3, s: Buffer.from(name) }])],
      },
    ],
  ];
  const texts = [
    'alloc_fc',
    'out of memory',
    "it's out of memory",
    'a "std::bad_alloc" (',
    'x) std::bad_alloc (',
    "' Status Message: Failed to allocate memory for requested buffer of size 99999999999999",
    'no\n space left on device\nNo space left\ton device',
  ];
  it.each(texts.flatMap((text) => named(text).map(([how, model]) => [text, how, model] as const)))(
    '%j %s is at fault itself',
    async (_text, _how, model) => {
      const work = opened(model, (runner) => runner.run(batchOf([3, 4, 4], 2)));
      await expect(work).rejects.toMatchObject({
        code: 'invalid_model',
        class: 'input',
        message: expect.not.stringContaining('bytes of memory') as string,
      });
    },
  );

  it('is told from a machine without room', () => {
    const misleading = ['the node out of memory'];
    const say = (text: string) => runtimeError(new Error(text), 'it does not run', misleading);
    expect(say("Name:'the node out of memory' Status Message: no such shape")).toMatchObject({ class: 'input' });
    expect(say("Name:'the node out of memory' Status Message: std::bad_alloc")).toMatchObject({ class: 'own_fault' });
    // However long the name before it is.
    expect(say(`Name:'${'n'.repeat(2000)}' Failed to allocate memory for requested buffer of size 4096`)).toMatchObject(
      {
        class: 'own_fault',
      },
    );
    expect(say('Failed to allocate memory for requested buffer of size 99999999999999')).toMatchObject({
      class: 'input',
    });
  });
});
