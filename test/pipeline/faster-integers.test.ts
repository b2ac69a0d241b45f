import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openDataset, writeNpz } from '../../src/datasets/index.js';
import { integerIslands, type Model } from '../../src/models/index.js';
import { makeInts } from '../../src/models/ir/attributes.js';
import { slowerWithIntegers } from '../../src/pipeline/integers/faster-integers.js';
import { build, node, noise, scratch, tensorOf } from '../models/graphs.js';
import { LIMITS } from './network.js';

const { signal } = new AbortController();
const SIDE = 24;

/** Two layers with an operator between them that takes no integers; each light, or a hundred times as heavy. */
function network(heavy: { first: boolean; second: boolean }): Promise<Model> {
  const kernel = (is: boolean) => (is ? 11 : 1);
  const layer = (input: string, output: string, is: boolean) => {
    const pad = (kernel(is) - 1) / 2;
    return node('Conv', [input, `w${output}`], output, [makeInts('pads', [pad, pad, pad, pad])], output);
  };
  const weight = (name: string, is: boolean) => tensorOf(`w${name}`, [16, 16, kernel(is), kernel(is)]);
  return build({
    nodes: [layer('x', 'a', heavy.first), node('Erf', ['a'], 'e'), layer('e', 'y', heavy.second)],
    tensors: [weight('a', heavy.first), weight('y', heavy.second)],
    input: [16, SIDE, SIDE],
    opset: 13,
  });
}

it('finds the layers that another form of the network makes slower, and keeps what it makes faster', async () => {
  const directory = scratch();
  const path = join(directory, 'calibration.npz');
  await writeNpz(path, { x: { dims: [4, 16, SIDE, SIDE], data: noise(4 * 16 * SIDE * SIDE) } });
  const limits = { ...LIMITS, maxSamples: 100 };
  const calibration = await openDataset(path, { directory, limits, what: 'calibration', signal });
  const data = { calibration, batch: 4, fixedBatch: null };
  const [light, heavy] = [await network({ first: false, second: false }), await network({ first: true, second: true })];
  const first = await network({ first: true, second: false });
  expect(integerIslands(light).map(({ layers }) => layers)).toEqual([['a'], ['y']]);
  /**
   * `all` stands for the integers of a network, `part` for those of some of its layers: each layer a hundred times
   * faster or slower.
   */
  const left = async (float: Model, all: Model, part: Model) => {
    const timing = { batches: [32], threads: 1, signal };
    return [...(await slowerWithIntegers(float, (kept) => (kept.size === 0 ? all : part), data, timing))];
  };
  expect(await left(first, await network({ first: false, second: true }), light)).toEqual(['y']);
  expect(await left(light, heavy, light)).toEqual(['a', 'y']);
  expect(await left(heavy, light, heavy)).toEqual([]);
  await calibration.close();
});
