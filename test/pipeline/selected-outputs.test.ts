import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openDataset, writeNpz } from '../../src/datasets/index.js';
import { beforeSelection } from '../../src/models/index.js';
import { makeInt } from '../../src/models/ir/attributes.js';
import type { NodeProto, TensorProto } from '../../src/models/ir/messages.js';
import { floatTensor, int64Tensor } from '../../src/models/ir/tensors.js';
import { compareModels } from '../../src/pipeline/network/compare/compare.js';
import { build, LIMITS, node, noise, scratch, tensorOf } from '../models/graphs.js';

const WIDTH = 12;
const DATASET = { maxArchiveEntries: 9, maxArchiveRatio: 100, maxSamples: 99, maxModelBytes: LIMITS.maxModelBytes };

const k = int64Tensor('k', [1], [4]);
const half = floatTensor('half', [1], Float32Array.of(0.1));
const topK: NodeProto = { ...node('TopK', ['s', 'k'], 'y'), output: ['y', 'places'] };
const axis = [makeInt('axis', 1)];

const SELECTIONS: { name: string; nodes: NodeProto[]; tensors: TensorProto[] }[] = [
  { name: 'TopK', nodes: [topK], tensors: [k] },
  {
    name: 'what TopK has chosen',
    nodes: [{ ...topK, output: ['v', 'i'] }, node('GatherElements', ['s', 'i'], 'y', axis)],
    tensors: [k],
  },
  {
    name: 'ArgMax',
    nodes: [node('ArgMax', ['s'], 'a', axis), node('Cast', ['a'], 'y', [makeInt('to', 1)])],
    tensors: [],
  },
  {
    name: 'NonZero',
    nodes: [
      node('Greater', ['s', 'half'], 'g'),
      node('NonZero', ['g'], 'n'),
      node('Cast', ['n'], 'y', [makeInt('to', 1)]),
    ],
    tensors: [half],
  },
];

const weights = (change: number) => {
  const w = noise(WIDTH * WIDTH, 5);
  const other = noise(WIDTH * WIDTH, 6);
  return floatTensor(
    'w',
    [WIDTH, WIDTH],
    w.map((v, i) => v + change * (other[i] ?? 0)),
  );
};

async function errorOf(nodes: NodeProto[], tensors: TensorProto[], output: string): Promise<number | undefined> {
  const network = (change: number) =>
    build({
      input: [WIDTH],
      tensors: [weights(change), ...tensors],
      nodes: [node('MatMul', ['x', 'w'], 's'), ...nodes],
      output,
    });
  const directory = scratch();
  const path = join(directory, 'evaluation.npz');
  await writeNpz(path, { x: { dims: [8, WIDTH], data: noise(8 * WIDTH, 3) } });
  const data = await openDataset(path, { directory, limits: DATASET });
  try {
    const context = { threads: 1, signal: new AbortController().signal };
    const options = { context, batch: 4, progress: () => undefined };
    const [comparison] = await compareModels(await network(0), [await network(0.05)], data, options);
    return comparison?.fidelity.relative_error;
  } finally {
    await data.close();
  }
}

describe('outputs that sort, select or suppress', () => {
  it.each(SELECTIONS)('$name: compared before it does', async ({ nodes, tensors }) => {
    const plain = await errorOf([], [], 's');
    expect(plain).toBeGreaterThan(0.01);
    expect(await errorOf(nodes, tensors, 'y')).toBeCloseTo(plain ?? 0, 6);
  });

  it('boxes and scores go into a suppression, sizes do not count', async () => {
    const model = await build({
      input: [WIDTH],
      tensors: [
        tensorOf('b', [WIDTH, 24]),
        tensorOf('c', [WIDTH, 6]),
        int64Tensor('to', [3], [0, 6, 4]),
        int64Tensor('one', [3], [0, 1, 6]),
      ],
      nodes: [
        node('MatMul', ['x', 'b'], 'flat'),
        node('Reshape', ['flat', 'to'], 'boxes'),
        node('MatMul', ['x', 'c'], 'points'),
        node('Reshape', ['points', 'one'], 'scores'),
        node('NonMaxSuppression', ['boxes', 'scores'], 'kept'),
        node('Cast', ['kept'], 'y', [makeInt('to', 1)]),
      ],
    });
    expect(beforeSelection(model, 'y').sort()).toEqual(['boxes', 'scores']);
  });

  it('an output with layers behind the selection, or without one, is compared itself', async () => {
    const behind = [node('MatMul', ['y0', 'v'], 'y')];
    const model = await build({
      input: [WIDTH],
      tensors: [weights(0), k, tensorOf('v', [4, 3])],
      nodes: [node('MatMul', ['x', 'w'], 's'), { ...topK, output: ['y0', 'places'] }, ...behind],
    });
    expect(beforeSelection(model, 'y')).toEqual(['y']);
    expect(beforeSelection(model, 's')).toEqual(['s']);
  });
});
