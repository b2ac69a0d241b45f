import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { listLayers, loadModel, Runner, type Model } from '../../../src/models/index.js';
import { openNetwork, openSamples } from '../../../src/pipeline/network/network.js';
import { LIMITS } from '../network.js';
import { CLASSES, SAMPLES, StepRig } from './rig.js';

const CRUDE = { target: { parameter_ratio: 5 }, method: { distillation_passes: 0 } };

async function evaluated(spec: Record<string, unknown>, options: Parameters<typeof StepRig.open>[1] = {}) {
  const rig = await StepRig.open(spec, options);
  await rig.solveLayers();
  await rig.run('assemble', { point: 1 });
  const { result, path } = await rig.run('evaluate');
  const [point] = result.points;
  if (point === undefined) throw new Error('nothing was measured');
  return { rig, path, ...point };
}

/** The class of every evaluation sample by a network, found without the step. */
async function classes(rig: StepRig, model: Model): Promise<number[]> {
  const context = await rig.context('look');
  const data = await openSamples(context, model, rig.assignment('evaluate').inputs.evaluation?.key ?? '', 'evaluation');
  const runner = await Runner.open(model, { threads: 1 });
  try {
    const values = (await runner.run(await data.batch(0, data.count))).get('logits')?.data ?? [];
    return Array.from({ length: data.count }, (_, i) => {
      const row = [...values].slice(i * CLASSES, (i + 1) * CLASSES).map(Number);
      return row.indexOf(Math.max(...row));
    });
  } finally {
    await runner.release();
    await data.close();
  }
}

describe('the step evaluate', () => {
  it('reports of the file what can be counted again in it', async () => {
    const { rig, path, metrics } = await evaluated(CRUDE);
    const network = await openNetwork(await rig.context('count'), rig.assignment('evaluate'));
    const { directory } = rig;
    const model = await loadModel(path('model.onnx'), {
      directory,
      limits: LIMITS,
      signal: new AbortController().signal,
    });
    try {
      const counted = await listLayers(model, await network.calibration.batch(0, 2), { threads: 1 });
      expect(metrics.parameters).toMatchObject({ before: 4643, after: counted.parameters });
      expect(metrics.macs).toMatchObject({ before: 105_408, after: counted.macs });
      expect(metrics.bytes.after).toBe((await stat(path('model.onnx'))).size);
      const labels = Array.from({ length: SAMPLES }, (_, i) => i % CLASSES);
      const [was, is] = [await classes(rig, network.original), await classes(rig, model)];
      const share = (own: number[], other: number[]) => own.filter((x, i) => x === other[i]).length / SAMPLES;
      expect(metrics.accuracy?.before).toBeCloseTo(share(was, labels), 9);
      expect(metrics.accuracy?.after).toBeCloseTo(share(is, labels), 9);
      expect(metrics.fidelity.top1_agreement).toBeCloseTo(share(was, is), 9);
      expect(metrics.fidelity.relative_error).toBeGreaterThan(0.01);
      expect(metrics.measured_on).toEqual({ data: 'evaluation', samples: SAMPLES });
    } finally {
      await network.close();
    }
  });

  it('holds the target and every constraint against what was measured', async () => {
    const constraints = { min_mac_ratio: 1.5, max_relative_error: 1e-6 };
    const { metrics, verdict } = await evaluated({ ...CRUDE, constraints });
    expect(verdict.passed).toBe(false);
    const checks = verdict.checks.map(({ name, measured, passed }) => [name, measured, passed]);
    expect(checks).toHaveLength(3);
    expect(checks).toEqual(
      expect.arrayContaining([
        ['target.parameter_ratio', metrics.parameters.ratio, true],
        ['constraints.min_mac_ratio', metrics.macs.ratio, true],
        ['constraints.max_relative_error', metrics.fidelity.relative_error, false],
      ]),
    );
  });

  it('has no accuracy without labels, and says how the outputs agree', async () => {
    const { metrics } = await evaluated({ target: { parameter_ratio: 1.5 } }, { labels: false });
    expect(metrics.accuracy).toBeNull();
    expect(metrics.fidelity).toMatchObject({ top1_agreement: 1, samples: SAMPLES });
  });

  it('lists every file that it leaves in the manifest, with its hash', async () => {
    const { path } = await evaluated({ target: { parameter_ratio: 1.5 } });
    const manifest = JSON.parse(await readFile(path('manifest.json'), 'utf8')) as {
      outputs: { name: string; sha256: string; bytes: number }[];
    };
    expect(manifest.outputs.map(({ name }) => name).sort()).toEqual(['model.onnx', 'report.html', 'report.json']);
    for (const { name, sha256, bytes } of manifest.outputs) {
      const content = await readFile(path(name));
      expect([name, bytes]).toEqual([name, content.length]);
      expect(createHash('sha256').update(content).digest('hex')).toBe(sha256);
    }
  });
});
