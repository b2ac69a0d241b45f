import { describe, expect, it } from 'vitest';
import { listLayers, Runner, withoutDefaults, type Model } from '../../src/models/index.js';
import { makeFloat, makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { batchOf, build, node, tensorOf, type Sketch } from './graphs.js';
import { TOPOLOGIES } from './topologies.js';

/** What exporters write out, and one of each that is not what holds anyway. */
const SPELLED: Sketch = {
  input: [4, 9, 9],
  tensors: [
    tensorOf('w1', [8, 4, 3, 3]),
    tensorOf('w2', [8, 1, 3, 3]),
    tensorOf('w3', [8, 4, 2, 2]),
    tensorOf('w4', [64, 5]),
    tensorOf('b4', [5]),
  ],
  nodes: [
    node('Conv', ['x', 'w1'], 'a', [
      makeInts('kernel_shape', [3, 3]),
      makeInts('strides', [1, 1]),
      makeInts('dilations', [1, 1]),
      makeInts('pads', [1, 1, 1, 1]),
      makeInt('group', 1),
    ]),
    node('Conv', ['a', 'w2'], 'b', [
      makeInts('kernel_shape', [3, 3]),
      makeInts('strides', [2, 1]),
      makeInts('dilations', [1, 2]),
      makeInts('pads', [0, 0, 0, 0]),
      makeInt('group', 8),
    ]),
    node('ConvTranspose', ['b', 'w3'], 'c', [
      makeInts('kernel_shape', [2, 2]),
      makeInts('strides', [2, 2]),
      makeInts('output_padding', [0, 1]),
    ]),
    node('MaxPool', ['c'], 'd', [
      makeInts('kernel_shape', [2, 2]),
      makeInts('strides', [2, 2]),
      makeInt('ceil_mode', 0),
    ]),
    node('AveragePool', ['d'], 'e', [makeInts('kernel_shape', [1, 1]), makeInts('strides', [1, 1])]),
    node('GlobalAveragePool', ['e'], 'f'),
    node('Flatten', ['f'], 'g', [makeInt('axis', 1)]),
    node('Concat', new Array<string>(16).fill('g'), 'h', [makeInt('axis', 1)]),
    node('Gemm', ['h', 'w4', 'b4'], 'y', [
      makeFloat('alpha', 1),
      makeFloat('beta', 0.5),
      makeInt('transA', 0),
      makeInt('transB', 0),
    ]),
  ],
};

async function output(model: Model, input: number[]): Promise<unknown> {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    return (await runner.run(batchOf(input, 2))).get('y');
  } finally {
    await runner.release();
  }
}

const attributes = ({ graph }: Model) =>
  graph.node.map(({ opType, attribute }) => `${opType} ${attribute.map(({ name }) => name).join(' ')}`.trim());

describe('a network without attributes that hold anyway', () => {
  it.each(Object.entries({ ...TOPOLOGIES, 'all of them': SPELLED }))('computes the same: %s', async (_, sketch) => {
    const model = await build(sketch);
    const small = withoutDefaults(model);
    expect(await output(small, sketch.input)).toEqual(await output(model, sketch.input));
    const probe = batchOf(sketch.input, 2);
    const [before, after] = [
      await listLayers(model, probe, { threads: 1 }),
      await listLayers(small, probe, { threads: 1 }),
    ];
    expect(after).toEqual(before);
  });

  it('keeps those that say something', async () => {
    expect(attributes(withoutDefaults(await build(SPELLED)))).toEqual([
      'Conv pads',
      'Conv strides dilations group',
      'ConvTranspose strides output_padding',
      'MaxPool kernel_shape strides',
      'AveragePool kernel_shape',
      'GlobalAveragePool',
      'Flatten',
      'Concat axis',
      'Gemm beta',
    ]);
  });
});
