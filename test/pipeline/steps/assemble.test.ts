import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { listLayers, loadModel, Runner, type Model } from '../../../src/models/index.js';
import { readFactors } from '../../../src/pipeline/files/layer-file.js';
import { files } from '../../../src/pipeline/files/step-files.js';
import { openNetwork } from '../../../src/pipeline/network/network.js';
import { LIMITS } from '../network.js';
import { StepRig } from './rig.js';

async function assembled(spec: Record<string, unknown> = {}) {
  const rig = await StepRig.open({ target: { parameter_ratio: 1.5 }, ...spec });
  const plan = await rig.solveLayers();
  const step = await rig.run('assemble', { point: 1 });
  const network = await openNetwork(await rig.context('look'), rig.assignment('evaluate'));
  try {
    const images = await network.calibration.batch(0, 8);
    const { directory } = rig;
    const open = (name: string) =>
      loadModel(step.path(name), { directory, limits: LIMITS, signal: new AbortController().signal });
    return { ...step, rig, plan, original: network.original, model: await open(files.model), images };
  } finally {
    await network.close();
  }
}

async function outputs(model: Model, images: Parameters<Runner['run']>[0]): Promise<number[]> {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    return [...((await runner.run(images)).get('logits')?.data ?? [])].map(Number);
  } finally {
    await runner.release();
  }
}

describe('the step assemble, with one layer at its planted rank', () => {
  it('writes a model that has the planned size and the outputs of the original', async () => {
    const { plan, original, model, images, result } = await assembled();
    const { parameters } = await listLayers(model, images, { threads: 1 });
    expect(parameters).toBe(plan.points[0]?.layers.reduce((sum, row) => sum + row.parameters.after, 0));
    const [was, is] = [await outputs(original, images), await outputs(model, images)];
    const size = Math.max(...was.map(Math.abs));
    for (const [i, x] of was.entries()) expect(Math.abs(x - (is[i] ?? NaN))).toBeLessThan(0.005 * size);
    expect(result.layers).toMatchObject([{ name: 'second', status: 'done', decision: 'compressed' }]);
    expect(result.layers[0]?.relative_error).toBeLessThan(1e-5);
    // Nothing is lost, so there is nothing to distil.
    expect(result.distillation).toBeUndefined();
  });

  it('writes the very factors of the solve where layers are not to be fitted again', async () => {
    const { rig, model } = await assembled({ method: { inputs: 'symmetric' } });
    const { lowRank } = await readFactors(`${rig.directory}/layer-1/output/${files.factors(0)}`);
    const held = model.graph.initializer.map(({ rawData }) => Buffer.from(rawData ?? []).toString('hex'));
    for (const factor of [lowRank?.p, lowRank?.q]) {
      if (factor === undefined) throw new Error('the layer has no factors');
      expect(held).toContain(Buffer.from(factor.buffer, factor.byteOffset, factor.byteLength).toString('hex'));
    }
  });

  it('keeps the float32 network beside a coded one, which is smaller and answers alike', async () => {
    const { path, original, model, images } = await assembled({ method: { weights: { coding: 'int8' } } });
    const [coded, uncoded] = await Promise.all([stat(path(files.model)), stat(path(files.uncoded))]);
    expect(coded.size).toBeLessThan(0.5 * uncoded.size);
    const [was, is] = [await outputs(original, images), await outputs(model, images)];
    const size = Math.max(...was.map(Math.abs));
    for (const [i, x] of was.entries()) expect(Math.abs(x - (is[i] ?? NaN))).toBeLessThan(0.05 * size);
    expect(is).not.toEqual(was);
  });

  it('has one file where weights stay as they are', async () => {
    const { path } = await assembled();
    expect([existsSync(path(files.model)), existsSync(path(files.uncoded))]).toEqual([true, false]);
  });
});
