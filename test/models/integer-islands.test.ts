import { expect, it } from 'vitest';
import { integerIslands } from '../../src/models/index.js';
import { makeInts } from '../../src/models/ir/attributes.js';
import { build, node, tensorOf } from './graphs.js';

const same = [makeInts('pads', [1, 1, 1, 1])];
const convolution = (input: string, output: string, weight: string) =>
  node('Conv', [input, weight], output, same, output);

it('are layers that hand each other integers, through rectifiers too', async () => {
  const model = await build({
    nodes: [
      convolution('x', 'a', 'wa'),
      node('Relu', ['a'], 'b'),
      convolution('b', 'c', 'wb'),
      node('Softsign', ['c'], 'd'),
      convolution('d', 'y', 'wb'),
    ],
    tensors: [tensorOf('wa', [4, 3, 3, 3]), tensorOf('wb', [4, 4, 3, 3])],
    input: [3, 8, 8],
    opset: 13,
  });
  expect(integerIslands(model)).toEqual([
    { layers: ['a', 'c'], from: ['x'], to: ['c'] },
    { layers: ['y'], from: ['d'], to: ['y'] },
  ]);
});

it('hold branches, and say all that is read outside', async () => {
  const model = await build({
    nodes: [
      convolution('x', 'a', 'wa'),
      node('Relu', ['a'], 'b'),
      convolution('b', 'c', 'wb'),
      node('Add', ['b', 'c'], 's'),
      convolution('s', 'e', 'wb'),
      node('Erf', ['b'], 'f'),
      node('Add', ['e', 'f'], 'y'),
    ],
    tensors: [tensorOf('wa', [4, 3, 3, 3]), tensorOf('wb', [4, 4, 3, 3])],
    input: [3, 8, 8],
    opset: 13,
  });
  expect(integerIslands(model)).toEqual([{ layers: ['a', 'c', 'e'], from: ['x'], to: ['b', 'e'] }]);
});
