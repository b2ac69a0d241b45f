import { describe, expect, it } from 'vitest';
import { outputParts } from '../../src/models/index.js';
import { makeInt } from '../../src/models/ir/attributes.js';
import { batchOf, build, node, tensorOf, type Sketch } from './graphs.js';

const sketch = (nodes: Sketch['nodes'], tensors: Sketch['tensors'] = []): Sketch => ({ input: [4, 6], nodes, tensors });
const partsOf = async (given: Sketch) =>
  Object.fromEntries(await outputParts(await build(given), batchOf([4, 6], 2), { threads: 1 }));
const concat = (inputs: string[], axis: number, output = 'y') =>
  node('Concat', inputs, output, [makeInt('axis', axis)]);

describe('the parts of an output', () => {
  it('are what it is a concatenation of', async () => {
    const wide = [node('Sigmoid', ['x'], 'scores'), node('Slice', ['x', 'from', 'to', 'axes'], 'boxes')];
    const ints = (name: string, value: number) => ({
      ...tensorOf(name, [1]),
      dataType: 7,
      rawData: new Uint8Array(BigInt64Array.of(BigInt(value)).buffer),
    });
    const tensors = [ints('from', 0), ints('to', 3), ints('axes', 1)];
    expect(await partsOf(sketch([...wide, concat(['boxes', 'scores'], 1)], tensors))).toEqual({
      y: { axis: 1, sizes: [3, 4] },
    });
    expect(await partsOf(sketch([...wide, concat(['boxes', 'scores'], -2)], tensors))).toEqual({
      y: { axis: 1, sizes: [3, 4] },
    });
  });

  it('are none where it is not, where one is a constant or the input, or along the batch', async () => {
    expect(await partsOf(sketch([node('Relu', ['x'], 'y')]))).toEqual({});
    expect(await partsOf(sketch([node('Relu', ['x'], 'r'), concat(['r', 'x'], 1)]))).toEqual({});
    expect(
      await partsOf(sketch([node('Relu', ['x'], 'r'), concat(['r', 'k'], 0)], [tensorOf('k', [1, 4, 6])])),
    ).toEqual({});
    expect(await partsOf(sketch([node('Relu', ['x'], 'r'), node('Tanh', ['x'], 't'), concat(['r', 't'], 0)]))).toEqual(
      {},
    );
    expect(await partsOf(sketch([node('Relu', ['x'], 'r'), concat(['r', 'r'], 1)]))).toEqual({});
  });
});
