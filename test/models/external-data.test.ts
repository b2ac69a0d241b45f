import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadModel, prepare, Runner, saveModel, spillWeights, type Model } from '../../src/models/index.js';
import { EXTERNAL } from '../../src/models/ir/messages.js';
import { externalReference, tensorFloats } from '../../src/models/ir/tensors.js';
import { LIMITS, batchOf, node, proto, scratch, tensorOf, writeProto, type Sketch } from './graphs.js';

/** 1.3 MB and 160 bytes of weights. */
const sketch: Sketch = {
  input: [64, 9, 9],
  tensors: [tensorOf('large', [64, 64, 9, 9]), tensorOf('small', [40]), tensorOf('fc', [64, 40])],
  nodes: [node('Conv', ['x', 'large'], 'c'), node('Flatten', ['c'], 'f'), node('Gemm', ['f', 'fc', 'small'], 'y')],
};

const large = (model: Model) => model.graph.initializer.find(({ name }) => name === 'large');

async function output(model: Model): Promise<number[]> {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    return [...((await runner.run(batchOf([64, 9, 9], 2))).get('y')?.data ?? [])].map(Number);
  } finally {
    await runner.release();
  }
}

describe('large weights', () => {
  it('lie in a file once a model is loaded, and only they', async () => {
    const directory = scratch();
    const model = await loadModel(writeProto(proto(sketch)), { directory, limits: LIMITS });
    expect(model.graph.initializer.map(({ dataLocation }) => dataLocation === EXTERNAL)).toEqual([true, false, false]);
    expect(model.directory?.startsWith(directory)).toBe(true);
    const kept = model.graph.initializer.flatMap(({ rawData }) => (rawData instanceof Uint8Array ? [rawData] : []));
    // Views of a buffer without the large ones: the file that was read is not kept alive.
    expect(Math.max(...kept.map((bytes) => bytes.buffer.byteLength))).toBeLessThan(2 ** 20);
  });

  it('are the same numbers, and the network gives the same output', async () => {
    const path = writeProto(proto(sketch));
    const model = await loadModel(path, { directory: scratch(), limits: LIMITS });
    const tensor = large(model);
    if (tensor === undefined) throw new Error('the tensor is gone');
    expect(tensorFloats(tensor, model.directory)).toEqual(tensorFloats(tensorOf('large', [64, 64, 9, 9]), null));
    const sketched = { ...model, proto: proto(sketch), directory: null };
    const graph = sketched.proto.graph;
    if (graph == null) throw new Error('the sketch has a graph');
    rmSync(path);
    expect(await output(model)).toEqual(await output({ ...sketched, graph }));
  });

  it('are written back into a single file', async () => {
    const path = writeProto(proto(sketch));
    const model = await loadModel(path, { directory: scratch(), limits: LIMITS });
    const saved = join(scratch(), 'saved.onnx');
    await saveModel(model, saved);
    const again = await loadModel(saved, { directory: scratch(), limits: LIMITS });
    expect(await output(again)).toEqual(await output(model));
  });

  it('of a part that was made later go beside those that are there', async () => {
    const turned: Sketch = {
      input: [512],
      tensors: [tensorOf('large', [600, 512]), tensorOf('other', [300, 600])],
      nodes: [
        node('Transpose', ['large'], 't'),
        node('MatMul', ['x', 't'], 'h'),
        node('Gemm', ['h', 'other'], 'y', [{ name: 'transB', type: 2, i: 1 }]),
      ],
    };
    const loaded = await loadModel(writeProto(proto(turned)), { directory: scratch(), limits: LIMITS });
    const prepared = prepare(loaded);
    const spilled = await spillWeights(prepared, scratch());
    expect(spilled.directory).toBe(loaded.directory);
    expect(readdirSync(spilled.directory ?? '').filter((name) => name.endsWith('.weights'))).toHaveLength(2);
    const folded = spilled.graph.initializer.find(({ name }) => name === 't');
    expect(folded === undefined ? null : externalReference(folded)?.length).toBe(4 * 600 * 512);
    const run = async (model: Model) => {
      const runner = await Runner.open(model, { threads: 1 });
      const value = (await runner.run(batchOf([512], 3))).get('y');
      await runner.release();
      return value;
    };
    expect(await run(spilled)).toEqual(await run(loaded));
    // Nothing is left of the files that the runtime opened.
    expect(readdirSync(spilled.directory ?? '').filter((name) => name.endsWith('.onnx'))).toEqual([]);
    expect(
      existsSync(join(spilled.directory ?? '', externalReference(folded ?? tensorOf('none', [1]))?.location ?? '')),
    ).toBe(true);
  });

  it('below the size that pays stay where they are', async () => {
    const small: Sketch = {
      ...sketch,
      input: [4, 3, 3],
      tensors: [tensorOf('w', [2, 4, 3, 3])],
      nodes: [node('Conv', ['x', 'w'], 'y')],
    };
    const model = await loadModel(writeProto(proto(small)), { directory: scratch(), limits: LIMITS });
    expect(model.directory).toBeNull();
    expect(await spillWeights(model, scratch())).toBe(model);
  });
});
