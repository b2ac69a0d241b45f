import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openDataset, writeNpz } from '../../src/datasets/index.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import { accuracyOf, compareModels } from '../../src/pipeline/network/compare/compare.js';
import { build, LIMITS, node, scratch } from '../models/graphs.js';

const UNIT = [1, 0, 0, 0, 1, 0, 0, 0, 1];
const DATASET = { maxArchiveEntries: 9, maxArchiveRatio: 100, maxSamples: 99, maxModelBytes: LIMITS.maxModelBytes };

/** A network that answers x times the matrix. */
const linear = (matrix: number[]) =>
  build({
    input: [3],
    tensors: [floatTensor('w', [3, 3], Float32Array.from(matrix))],
    nodes: [node('MatMul', ['x', 'w'], 'y')],
  });

it('samples without a class count for the agreement of two networks, and not for their accuracy', async () => {
  const directory = scratch();
  const path = join(directory, 'evaluation.npz');
  // Classes 0, 1, 2, 0; the second network takes 0 for 1.
  const x = { dims: [4, 3], data: Float32Array.of(3, 1, 0, 0, 3, 1, 0, 1, 3, 3, 0, 1) };
  await writeNpz(path, { x, y: { dims: [4], data: Int32Array.of(0, 1, -1, -1) } });
  const data = await openDataset(path, { directory, limits: DATASET });
  try {
    const context = { threads: 1, signal: new AbortController().signal };
    const original = await linear(UNIT);
    const swapped = await linear([0, 1, 0, 1, 0, 0, 0, 0, 1]);
    const [comparison] = await compareModels(original, [swapped], data, { context, batch: 2, progress: () => {} });
    expect(comparison?.accuracy).toEqual({ before: 1, after: 0, drop: 1, samples: 2 });
    expect(comparison?.fidelity).toMatchObject({ top1_agreement: 0.25, samples: 4 });
    expect(await accuracyOf(original, data, context)).toBe(1);
  } finally {
    await data.close();
  }
});
