import { describe, expect, it } from 'vitest';
import { layerOfTensors, prepare, rewrite, type Replacement } from '../../src/models/index.js';
import { makeInts } from '../../src/models/ir/attributes.js';
import { build, node, noise, tensorOf } from './graphs.js';

const PADS = [makeInts('pads', [1, 1, 1, 1])];
const NAMES = ['/a', '/a/b', '/a/b/low_rank_out', '/c'];

describe('the layer that a tensor of weights belongs to', () => {
  it('is the one that it was, or that compression made it of, whatever other layers are called', async () => {
    const nodes = NAMES.map((name, i) =>
      node('Conv', [i === 0 ? 'x' : `t${String(i - 1)}`, `w${String(i)}`], i === 3 ? 'y' : `t${String(i)}`, PADS, name),
    );
    const tensors = NAMES.map((_, i) => tensorOf(`w${String(i)}`, [8, 8, 3, 3], i));
    const model = prepare(await build({ input: [8, 6, 6], tensors, nodes }));
    expect([...layerOfTensors(model, NAMES)]).toEqual(NAMES.map((name, i) => [`w${String(i)}`, name]));

    const factors = (rank: number) => ({
      lowRank: {
        ...{ shape: 'channel' as const, rank, inner: 0, basis: null },
        ...{ q: noise(rank * 72, rank), p: noise(8 * rank, rank + 1) },
      },
      sparse: null,
      bias: new Float32Array(8),
    });
    const small = rewrite(
      model,
      new Map<string, Replacement>([
        ['/a', factors(2)],
        ['/a/b', factors(3)],
        ['/c', { weights: noise(8 * 72, 5), bias: new Float32Array(8) }],
      ]),
    );
    const owners = layerOfTensors(small, NAMES);
    // Two factors each, one layer as it was, one refitted.
    expect([...owners.values()].sort()).toEqual(['/a', '/a', '/a/b', '/a/b', '/a/b/low_rank_out', '/c']);
    const sizes = small.graph.initializer.flatMap(({ name, dims }) =>
      owners.get(name) === '/a/b' ? [dims.map(Number)] : [],
    );
    expect(sizes).toEqual([
      [3, 8, 3, 3],
      [8, 3, 1, 1],
    ]);
    expect([...layerOfTensors(small, ['/other']).values()]).toEqual([]);
  });
});
