import { describe, expect, it } from 'vitest';
import { Runner, extract, prepare, stillNeeded, type Tensor } from '../../src/models/index.js';
import { batchOf, build, type Sketch } from './graphs.js';
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

  it('does not exist for a tensor that nothing makes', async () => {
    const model = prepare(await build(sketchOf('residual addition')));
    expect(() => extract(model, [], ['ghost'])).toThrow(/nothing in the graph makes ghost/);
  });
});
