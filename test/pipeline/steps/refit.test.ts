import { describe, expect, it } from 'vitest';
import type { LayerAllocation } from '../../../src/jobs/tasks.js';
import { rewrite, Runner, type Factors, type Replacement } from '../../../src/models/index.js';
import { readFactors } from '../../../src/pipeline/files/layer-file.js';
import { files } from '../../../src/pipeline/files/step-files.js';
import { openNetwork, type Network } from '../../../src/pipeline/network/network.js';
import { refitInOrder } from '../../../src/pipeline/network/refit.js';
import { StepRig } from './rig.js';

/** Squared difference of the outputs from the original's, over their square, on the calibration data. */
async function outputError(network: Network, replacements: ReadonlyMap<string, Replacement>): Promise<number> {
  const images = await network.calibration.batch(0, network.images);
  const outputs = async (model: Network['prepared']) => {
    const runner = await Runner.open(model, { threads: 1 });
    try {
      return [...((await runner.run(images)).get('logits')?.data ?? [])].map(Number);
    } finally {
      await runner.release();
    }
  };
  const [was, is] = [await outputs(network.prepared), await outputs(rewrite(network.prepared, replacements))];
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
  return sum(was.map((x, i) => (x - (is[i] ?? NaN)) ** 2)) / sum(was.map((x) => x ** 2));
}

const CRUDE = { index: 0, shape: 'channel', rank: 1, inner: 0, groups: 0 } as const;
const PLANTED = { index: 1, shape: 'channel', rank: 2, inner: 0, groups: 0 } as const;

/** Layers as they were solved one by one, and as the refit leaves them. */
async function refit(allocations: LayerAllocation[]) {
  const rig = await StepRig.open();
  await rig.run('inspect');
  await rig.run('plan');
  rig.change('plan', ({ points }) => ({ points: points.map((point) => ({ ...point, allocations })) }));
  const solved = new Map<number, Factors>();
  for (const { index: layer } of allocations)
    solved.set(layer, await readFactors((await rig.run('layer', { layer })).path(files.factors(0))));
  const context = await rig.context('refit');
  const assignment = rig.assignment('assemble', { point: 1 });
  const network = await openNetwork(context, assignment);
  const errors = new Map<number, number>();
  const refitted = await refitInOrder(assignment, context, network, { solved, errors });
  const alone = new Map([...solved].map(([index, factors]) => [network.layers[index]?.name ?? '', factors]));
  return { network, solved, alone, refitted, errors };
}

describe('the refit in order, behind a first layer that loses much', () => {
  it('fits a dense layer to the inputs that it gets now, which brings the outputs nearer', async () => {
    const { network, alone, refitted } = await refit([CRUDE]);
    try {
      const dense = refitted.get('second');
      expect(dense !== undefined && !('lowRank' in dense)).toBe(true);
      const [before, after] = [await outputError(network, alone), await outputError(network, refitted)];
      expect(before).toBeGreaterThan(0.01);
      expect(after).toBeLessThan(0.9 * before);
    } finally {
      await network.close();
    }
  });

  it('fits factors anew at the sizes that the solve has chosen, and tells the error of each layer that has some', async () => {
    const { network, solved, alone, refitted, errors } = await refit([CRUDE, PLANTED]);
    try {
      for (const [index, name] of ['first', 'second'].entries()) {
        const replacement = refitted.get(name);
        if (replacement === undefined || !('lowRank' in replacement)) throw new Error(`${name} has no factors`);
        const was = solved.get(index)?.lowRank;
        expect([replacement.lowRank?.shape, replacement.lowRank?.rank]).toEqual([was?.shape, was?.rank]);
      }
      expect([...errors.keys()].sort()).toEqual([0, 1]);
      // A rank below the planted one cannot be mended; the second layer has its planted rank, but other inputs.
      for (const error of errors.values()) expect(error).toBeGreaterThan(1e-3);
      expect(await outputError(network, refitted)).toBeLessThan(await outputError(network, alone));
    } finally {
      await network.close();
    }
  });

  it('leaves the outputs where they were when no layer has lost anything', async () => {
    const { network, refitted } = await refit([PLANTED]);
    try {
      expect(await outputError(network, refitted)).toBeLessThan(1e-6);
    } finally {
      await network.close();
    }
  });
});
