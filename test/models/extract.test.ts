import { describe, expect, it } from 'vitest';
import {
  Runner,
  behindLinearMap,
  extract,
  prepare,
  stillNeeded,
  type FloatTensor,
  type Tensor,
} from '../../src/models/index.js';
import { makeInt, makeNode } from '../../src/models/ir/attributes.js';
import { batchOf, build, node, tensorOf, type Sketch } from './graphs.js';
import { TOPOLOGIES } from './topologies.js';

function sketchOf(name: string): Sketch {
  const sketch = TOPOLOGIES[name];
  if (sketch === undefined) throw new Error(`no topology ${name}`);
  return sketch;
}

describe('a part of a network', () => {
  it('computes a tensor from inner ones and from the input, as the whole network does', async () => {
    const sketch = sketchOf('residual addition');
    const model = prepare(await build(sketch));
    const x = batchOf(sketch.input, 2);
    const whole = await Runner.open(model, { threads: 1, capture: ['r1', 'c2'] });
    const values = await whole.run(x);
    await whole.release();
    const part = extract(model, ['r1'], ['y']);
    expect(part.inputs.sort()).toEqual(['r1', 'x']);
    expect(part.model.graph.initializer.map(({ name }) => name)).toEqual(['w2']);
    const runner = await Runner.open(part.model, { threads: 1 });
    const got = await runner.feed(
      new Map<string, Tensor>([
        ['x', x],
        ['r1', values.get('r1') ?? x],
      ]),
    );
    await runner.release();
    expect(got.get('y')?.data).toEqual(values.get('y')?.data);
  });

  it('knows which tensors the rest still needs', async () => {
    const model = prepare(await build(sketchOf('residual addition')));
    expect(stillNeeded(model, ['c1', 'r1'], ['c2'])).toEqual(new Set(['r1']));
    expect(stillNeeded(model, ['c1', 'r1'], ['y'])).toEqual(new Set(['r1', 'x']));
  });

  it('may need a node for one of its outputs and be given another', async () => {
    const split = makeNode('Split', 'split', ['c'], ['left', 'right'], [makeInt('axis', 1)]);
    const sketch: Sketch = {
      input: [3, 5, 5],
      opset: 11,
      tensors: [tensorOf('w', [8, 3, 1, 1]), tensorOf('v', [4, 4, 1, 1])],
      nodes: [
        node('Conv', ['x', 'w'], 'c'),
        split,
        node('Conv', ['right', 'v'], 'd'),
        node('Concat', ['left', 'right', 'd'], 'y', [makeInt('axis', 1)]),
      ],
    };
    const model = prepare(await build(sketch));
    const x = batchOf(sketch.input, 2);
    const whole = await Runner.open(model, { threads: 1, capture: ['right', 'd'] });
    const values = await whole.run(x);
    await whole.release();
    const given = new Map<string, Tensor>([['x', x]]);
    for (const name of ['right', 'd']) given.set(name, values.get(name) ?? x);
    const part = extract(model, ['right', 'd'], ['y']);
    expect(part.inputs.sort()).toEqual(['d', 'right', 'x']);
    const runner = await Runner.open(part.model, { threads: 1 });
    expect((await runner.feed(given)).get('y')?.data).toEqual(values.get('y')?.data);
    await runner.release();
  });

  it('does not exist for a tensor that nothing makes', async () => {
    const model = prepare(await build(sketchOf('residual addition')));
    expect(() => extract(model, [], ['ghost'])).toThrow(/nothing in the graph makes ghost/);
  });
});

describe('the rest of a network behind a linear map', () => {
  /** V of a projector on the first two of m channels. */
  const down = (m: number, dims: number[]): FloatTensor => ({
    dims,
    data: Float32Array.from({ length: 2 * m }, (_, i) => (i === 0 || i === m + 1 ? 1 : 0)),
  });
  const up = (m: number, dims: number[]): FloatTensor => ({
    dims,
    data: Float32Array.from({ length: 2 * m }, (_, i) => (i === 0 || i === 3 ? 1 : 0)),
  });
  const values = async (model: Parameters<typeof Runner.open>[0], feeds: Map<string, Tensor>) => {
    const runner = await Runner.open(model, { threads: 1 });
    try {
      return await runner.feed(feeds);
    } finally {
      await runner.release();
    }
  };

  it('computes what the part does on the mapped feature map', async () => {
    const sketch = sketchOf('residual addition');
    const model = prepare(await build(sketch));
    const x = batchOf(sketch.input, 2);
    const whole = await Runner.open(model, { threads: 1, capture: ['r1', 'c2'] });
    const all = await whole.run(x);
    await whole.release();
    const response = all.get('c2') as FloatTensor;
    const m = response.dims[1] ?? 0;
    const plane = response.data.length / (2 * m);
    const offset = { dims: [m], data: Float32Array.from({ length: m }, (_, i) => i / 8) };
    const mapped = response.data.map((value, i) => {
      const channel = Math.floor(i / plane) % m;
      return (channel < 2 ? value : 0) + channel / 8;
    });
    const part = extract(model, ['c2', 'r1'], ['y']);
    const others = (names: string[]) =>
      names.map((name): [string, Tensor] => [name, name === 'x' ? x : (all.get(name) ?? x)]);
    const feeds = others(part.inputs.filter((name) => name !== 'c2'));
    const wanted = await values(part.model, new Map([...feeds, ['c2', { dims: response.dims, data: mapped }]]));
    const behind = behindLinearMap(model, 'c2', { axes: 2, beside: ['r1'], to: ['y'] });
    const got = await values(
      behind.model,
      new Map<string, Tensor>([
        ...others(behind.beside),
        [behind.response, response],
        [behind.down, down(m, [2, m, 1, 1])],
        [behind.up, up(m, [m, 2, 1, 1])],
        [behind.offset, offset],
      ]),
    );
    const a = [...(got.get('y')?.data ?? [])].map(Number);
    expect(a.length).toBeGreaterThan(0);
    [...(wanted.get('y')?.data ?? [])].forEach((value, i) => {
      expect(a[i]).toBeCloseTo(Number(value), 5);
    });
  });

  it('gives the mapped tensor itself where that is an output, for rows as well', async () => {
    const model = prepare(await build({ input: [6], tensors: [], nodes: [node('Relu', ['x'], 'y')] }));
    const behind = behindLinearMap(model, 'y', { axes: 0, beside: [], to: ['y'] });
    expect(behind.beside).toEqual([]);
    const got = await values(
      behind.model,
      new Map<string, Tensor>([
        [behind.response, { dims: [1, 3], data: Float32Array.of(5, 6, 7) }],
        [behind.down, up(3, [3, 2])],
        [behind.up, down(3, [2, 3])],
        [behind.offset, { dims: [3], data: Float32Array.of(0, 0, 1) }],
      ]),
    );
    expect([...(got.get('y')?.data ?? [])].map(Number)).toEqual([5, 6, 1]);
  });
});
