import { describe, expect, it } from 'vitest';
import {
  branchesOf,
  listLayers,
  prepare,
  Runner,
  withoutBranches,
  withoutBypasses,
  type Model,
} from '../../src/models/index.js';
import { makeInts } from '../../src/models/ir/attributes.js';
import { batchOf, build, node, tensorOf, type Sketch } from './graphs.js';

const pads = [makeInts('pads', [1, 1, 1, 1])];
const conv = (from: string, to: string, name: string) => node('Conv', [from, `${name}w`, `${name}b`], to, pads, name);
const weights = (name: string, m = 4, channels = 4) => [
  tensorOf(`${name}w`, [m, channels, 3, 3]),
  tensorOf(`${name}b`, [m]),
];

/** A first layer, a block of two, a block of three of which one gates another, a last layer. */
const BLOCKS: Sketch = {
  input: [4, 6, 6],
  tensors: [
    ...weights('first'),
    ...weights('a'),
    ...weights('b'),
    ...weights('c'),
    ...weights('d'),
    ...weights('last'),
  ],
  nodes: [
    conv('x', 'p', 'first'),
    node('Relu', ['p'], 'q'),
    conv('q', 'r', 'a'),
    node('Relu', ['r'], 's'),
    conv('s', 't', 'b'),
    node('Add', ['t', 'q'], 'u', [], 'sum1'),
    node('Relu', ['u'], 'v'),
    conv('v', 'w', 'c'),
    node('GlobalAveragePool', ['w'], 'g'),
    conv('g', 'h', 'd'),
    node('Sigmoid', ['h'], 'i'),
    node('Mul', ['w', 'i'], 'j'),
    node('Add', ['v', 'j'], 'k', [], 'sum2'),
    conv('k', 'y', 'last'),
  ],
};

const outputs = async (model: Model) => {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    return [...(await runner.run(batchOf([4, 6, 6]))).values()][0]?.data;
  } finally {
    await runner.release();
  }
};
const nodesOf = ({ graph }: Model) => graph.node.map(({ name, opType }) => (opType === 'Relu' ? opType : name));

describe('branches of residual blocks', () => {
  it('are found with all that is computed for them alone', async () => {
    const model = prepare(await build(BLOCKS));
    expect(branchesOf(model)).toEqual([
      { sum: 'u', stays: 'q', goes: 't', nodes: ['a', 'b'], inner: [] },
      { sum: 'k', stays: 'v', goes: 'j', nodes: ['c', 'd'], inner: [] },
    ]);
  });

  it.each<[string, Partial<Sketch>, string[]]>([
    [
      'a block around another one knows of the inner one',
      {
        nodes: [
          conv('x', 'p', 'first'),
          conv('p', 'q', 'a'),
          conv('q', 'r', 'b'),
          node('Add', ['q', 'r'], 's'),
          node('Add', ['p', 's'], 't'),
          conv('t', 'y', 'last'),
        ],
      },
      ['s', 't'],
    ],
    [
      'of two with layers that with more of them',
      {
        nodes: [
          conv('x', 'p', 'first'),
          conv('p', 'q', 'a'),
          conv('x', 'r', 'b'),
          node('Add', ['r', 'q'], 's'),
          conv('s', 'y', 'last'),
        ],
      },
      ['s'],
    ],
    [
      'nothing that something else reads',
      {
        nodes: [
          conv('x', 'p', 'first'),
          conv('p', 'q', 'a'),
          node('Add', ['p', 'q'], 's'),
          node('Mul', ['s', 'q'], 't'),
          conv('t', 'y', 'last'),
        ],
      },
      [],
    ],
    [
      'no sum of one tensor with itself or with a constant',
      {
        nodes: [
          conv('x', 'p', 'first'),
          node('Add', ['p', 'p'], 'q'),
          node('Add', ['q', 'one'], 'r'),
          conv('r', 'y', 'last'),
        ],
        tensors: [...weights('first'), ...weights('last'), tensorOf('one', [4, 6, 6])],
      },
      [],
    ],
    [
      'no branch without weights',
      {
        nodes: [
          conv('x', 'p', 'first'),
          node('Sigmoid', ['p'], 'q'),
          node('Add', ['p', 'q'], 's'),
          conv('s', 'y', 'last'),
        ],
      },
      [],
    ],
  ])('%s', async (_, sketch, sums) => {
    const model = prepare(await build({ ...BLOCKS, ...sketch }));
    const found = branchesOf(model);
    expect(found.map(({ sum }) => sum)).toEqual(sums);
    expect(found.flatMap(({ inner }) => inner)).toEqual(sums.slice(0, -1));
  });

  it('have no weights that are read outside of them', async () => {
    const model = prepare(
      await build({
        ...BLOCKS,
        nodes: [
          conv('x', 'p', 'first'),
          conv('p', 'q', 'a'),
          node('Add', ['p', 'q'], 's'),
          node('ConvTranspose', ['s', 'aw'], 't', pads, 'up'),
          conv('t', 'y', 'last'),
        ],
      }),
    );
    expect(branchesOf(model)).toEqual([]);
  });

  it('leave the network that it is without them, with the names of all that stays', async () => {
    const model = prepare(await build(BLOCKS));
    const less = withoutBranches(model, ['u']);
    const byHand = prepare(
      await build({
        ...BLOCKS,
        nodes: (BLOCKS.nodes ?? []).flatMap((one) => {
          if (['r', 's', 't'].includes(one.output[0] ?? '')) return [];
          return one.name === 'sum1' ? [node('Relu', ['q'], 'u')] : [one];
        }),
      }),
    );
    expect(await outputs(less)).toEqual(await outputs(byHand));
    expect(await outputs(model)).not.toEqual(await outputs(less));
    const { layers } = await listLayers(less, batchOf([4, 6, 6]), { threads: 1 });
    expect(layers.map(({ name, input }) => [name, input])).toEqual([
      ['first', 'x'],
      ['c', 'v'],
      ['d', 'g'],
      ['last', 'k'],
    ]);
    // The original is not touched.
    expect(branchesOf(model).length).toBe(2);
    const none = withoutBranches(model, ['u', 'k']);
    expect((await listLayers(none, batchOf([4, 6, 6]), { threads: 1 })).layers.map(({ name }) => name)).toEqual([
      'first',
      'last',
    ]);
    expect(() => withoutBranches(model, ['p'])).toThrow('no branch of p');
  });

  it('leave nothing that only hands on', async () => {
    const model = prepare(await build(BLOCKS));
    const less = withoutBranches(model, ['u', 'k']);
    const plain = withoutBypasses(less);
    expect(nodesOf(less)).toEqual(['first', 'Relu', 'sum1', 'Relu', 'sum2', 'last']);
    expect(nodesOf(plain)).toEqual(['first', 'Relu', 'last']);
    expect(await outputs(plain)).toEqual(await outputs(less));
    expect(withoutBypasses(plain)).toBe(plain);
  });

  it('keep the name of an output that was a sum', async () => {
    const model = prepare(
      await build({ ...BLOCKS, nodes: [conv('x', 'p', 'first'), conv('p', 'q', 'a'), node('Add', ['p', 'q'], 'y')] }),
    );
    const less = withoutBypasses(withoutBranches(model, ['y']));
    expect(less.graph.output.map(({ name }) => name)).toEqual(['y']);
    expect(nodesOf(less).length).toBe(2);
    expect((await outputs(less))?.length).toBe(3 * 4 * 36);
  });
});
