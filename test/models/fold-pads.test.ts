import { describe, expect, it } from 'vitest';
import { prepare, readyForIntegers, type Model } from '../../src/models/index.js';
import { makeInts, makeString } from '../../src/models/ir/attributes.js';
import { floatTensor, int64Tensor } from '../../src/models/ir/tensors.js';
import { build, node, tensorOf, type Sketch } from './graphs.js';
import { output, relativeError } from './integer-networks.js';

const INPUT = [3, 7, 9];
const AMOUNTS = [0, 0, 1, 0, 0, 0, 2, 3];

function padding(
  pad: { amounts?: number[]; value?: number; mode?: string } = {},
  convolution: Parameters<typeof node>[3] = [],
): Sketch {
  const { amounts = AMOUNTS, value, mode } = pad;
  return {
    input: INPUT,
    tensors: [
      int64Tensor('amounts', [amounts.length], amounts),
      ...(value === undefined ? [] : [floatTensor('value', [], Float32Array.of(value))]),
      tensorOf('w', [4, 3, 3, 3]),
      tensorOf('v', [2, 4, 1, 1], 3),
    ],
    nodes: [
      node(
        'Pad',
        ['x', 'amounts', ...(value === undefined ? [] : ['value'])],
        'p',
        mode === undefined ? [] : [makeString('mode', mode)],
      ),
      node('Conv', ['p', 'w'], 'a', convolution, 'first'),
      node('Conv', ['a', 'v'], 'y', [], 'last'),
    ],
    opset: 13,
  };
}

const operators = ({ graph }: Model) => graph.node.map(({ opType }) => opType);
const pads = ({ graph }: Model) => graph.node[0]?.attribute.find(({ name }) => name === 'pads')?.ints?.map(Number);

async function both(sketch: Sketch): Promise<Model> {
  const before = prepare(await build(sketch));
  const after = readyForIntegers(before);
  expect(relativeError(await output(before, INPUT), await output(after, INPUT))).toBeLessThan(1e-6);
  return after;
}

describe('zeros around a feature map', () => {
  it('become pads of the convolution that reads it', async () => {
    const after = await both(padding());
    expect(operators(after)).toEqual(['Conv', 'Conv']);
    expect(pads(after)).toEqual([1, 0, 2, 3]);
  });

  it('are added to those that it has', async () => {
    expect(pads(await both(padding({ value: 0 }, [makeInts('pads', [1, 2, 0, 1])])))).toEqual([2, 2, 2, 4]);
    expect(pads(await both(padding({}, [makeString('auto_pad', 'VALID')])))).toEqual([1, 0, 2, 3]);
  });

  it.each([
    ['other numbers', padding({ value: 1 })],
    ['mirrored borders', padding({ mode: 'reflect' })],
    ['fewer places', padding({ amounts: [0, 0, -1, 0, 0, 0, 2, 3] })],
    ['pads that the convolution works out', padding({}, [makeString('auto_pad', 'SAME_UPPER')])],
  ])('stay where there are %s', async (_, sketch) => {
    expect(operators(await both(sketch))).toEqual(['Pad', 'Conv', 'Conv']);
  });

  it('stay where something else reads them, too', async () => {
    const sketch = padding();
    const nodes = [
      ...sketch.nodes.slice(0, 2),
      node('GlobalAveragePool', ['p'], 'g'),
      node('Conv', ['g', 'u'], 'h', [], 'aside'),
    ];
    const last = [node('Conv', ['a', 'v'], 'b', [], 'last'), node('Add', ['b', 'h'], 'y')];
    const tensors = [...sketch.tensors, tensorOf('u', [2, 3, 1, 1], 5)];
    const after = await both({ ...sketch, nodes: [...nodes, ...last], tensors });
    expect(operators(after)).toContain('Pad');
  });

  it('go where several convolutions read them', async () => {
    const sketch = padding();
    const nodes = [
      ...sketch.nodes.slice(0, 2),
      node('Conv', ['p', 'w'], 'b', [], 'second'),
      node('Add', ['a', 'b'], 's'),
      node('Conv', ['s', 'v'], 'y', [], 'last'),
    ];
    expect(operators(await both({ ...sketch, nodes }))).toEqual(['Conv', 'Conv', 'Add', 'Conv']);
  });
});
