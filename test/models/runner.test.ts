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

describe('a runner', () => {
  it('knows its ports and returns outputs and captured tensors', async () => {
    await opened(
      sketch,
      async (runner) => {
        expect(runner.input).toEqual({ name: 'x', type: 'float32', shape: ['batch', 3, 4, 4] });
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
        runner.checkSamples(shape, type);
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
      runner.checkSamples([2, 3, 4, 4], 'uint8');
      expect(() => {
        runner.checkSamples([2, 3, 4, 4], 'float32');
      }).toThrow(/x is float32, but the model's input x is uint8/);
      // In the words of whoever made the file, which may hold another type than what is read of it.
      expect(() => {
        runner.checkSamples([2, 3, 4, 4], 'float32', 'calibration', 'float16');
      }).toThrow(/x is float16, but/);
      await Promise.resolve();
    });
  });

  it('refuses a model with several inputs', async () => {
    const model = proto({ ...sketch, nodes: [node('Add', ['x', 'z'], 'y')] });
    model.graph?.input.push({
      name: 'z',
      type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'batch' }] } } },
    });
    const loaded = await loadModel(writeProto(model), { directory: scratch(), limits: LIMITS });
    const runner = await Runner.open(loaded, { threads: 1 });
    await expect(runner.run(batchOf([3, 4, 4], 1))).rejects.toMatchObject({
      code: 'invalid_model',
      message: expect.stringContaining('one input') as string,
    });
    await runner.release();
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
