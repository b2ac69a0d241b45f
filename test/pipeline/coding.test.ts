import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModel, saveModel } from '../../src/models/index.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { scratch } from '../models/graphs.js';
import { LIMITS, localOptions, writeFiles, type Files } from './network.js';

let files: Files;
beforeAll(async () => {
  files = await writeFiles(scratch());
});

const job = (weights: Record<string, unknown>, more: Record<string, unknown> = {}, output = scratch()) =>
  compressLocally(
    localOptions(files, output, {
      method: { weights, samples: 200, max_iterations: 3 },
      benchmark: { batch_sizes: [1] },
      ...more,
    }),
  );

describe('a job with coded weights', () => {
  it.each([
    [{ coding: 'float16' }, 'float16', 1.4],
    [{ coding: 'int8' }, 'int8', 1.7],
    [{ coding: 'codebook' }, 'codebook of 4 bits', 1.7],
    [{ coding: 'codebook', bits: 8 }, 'codebook of 8 bits', 1.7],
  ])('as %j reports both networks, and the same count of parameters', async (weights, name, least) => {
    const output = scratch();
    const { metrics, artifacts, layers } = await job(weights, {}, output);
    expect(artifacts.sort()).toEqual(['manifest.json', 'model.onnx', 'report.html', 'report.json']);
    const { coding } = metrics;
    if (coding === undefined) throw new Error('no numbers of the coding');
    expect(coding.coding).toBe(name);
    expect(coding.bytes.after).toBe((await stat(join(output, 'model.onnx'))).size);
    expect(coding.bytes.after).toBe(metrics.bytes.after);
    expect(coding.bytes.ratio).toBeGreaterThan(least);
    expect(coding.uncoded.bytes).toMatchObject({ before: metrics.bytes.before, after: coding.bytes.before });
    expect(coding.uncoded.latency).toHaveLength(1);
    expect(coding.uncoded.accuracy?.before).toBe(metrics.accuracy?.before);
    expect(metrics.fidelity.relative_error).toBeGreaterThan(coding.uncoded.fidelity.relative_error);
    expect(metrics.fidelity.relative_error).toBeLessThan(0.15);
    // Coded or not, a weight is a weight.
    expect(metrics.parameters.after).toBe(layers.reduce((sum, row) => sum + row.parameters.after, 0));
    expect(metrics.parameters.ratio).toBeLessThan(metrics.bytes.ratio * 1.5);
    const report = JSON.parse(await readFile(join(output, 'report.json'), 'utf8')) as { metrics: unknown };
    expect(report.metrics).toEqual(metrics);
  });

  it('is the same file for the same seed', async () => {
    const outputs = [scratch(), scratch()];
    for (const output of outputs) await job({ coding: 'codebook' }, {}, output);
    const [a, b] = await Promise.all(outputs.map((output) => readFile(join(output, 'model.onnx'))));
    expect(b?.equals(a ?? Buffer.alloc(0))).toBe(true);
  });

  it('has no such numbers with float32, which is what nobody has to ask for', async () => {
    expect((await job({})).metrics.coding).toBeUndefined();
  });

  it('holds the size of the file against a constraint', async () => {
    const { verdict, metrics } = await job({ coding: 'int8' }, { constraints: { min_bytes_ratio: 4 } });
    const { ratio } = metrics.bytes;
    expect(verdict.checks[1]).toEqual({
      name: 'constraints.min_bytes_ratio',
      required: 4,
      measured: ratio,
      passed: ratio >= 4,
    });
    const strict = await job({ coding: 'int8' }, { constraints: { min_bytes_ratio: 1000 } });
    expect(strict.verdict.passed).toBe(false);
  });

  it('of several targets measures every point both ways', async () => {
    const targets = [{ parameter_ratio: 2 }, { parameter_ratio: 3 }];
    const { points } = await job({ coding: 'int8' }, { target: undefined, targets });
    expect(points.map(({ metrics }) => metrics?.coding?.bytes.after)).toEqual(
      points.map(({ metrics }) => metrics?.bytes.after),
    );
    expect(points[1]?.metrics?.coding?.bytes.before).toBeLessThanOrEqual(points[0]?.metrics?.coding?.bytes.before ?? 0);
  });

  it('comes back as a zip with external data where it was sent so', async () => {
    const directory = scratch();
    const model = await loadModel(files.model, { directory, limits: LIMITS });
    const path = join(directory, 'model.zip');
    await saveModel({ ...model, format: 'onnx_zip', filename: 'model.onnx' }, path);
    const output = scratch();
    const options = {
      target: { parameter_ratio: 2 },
      method: { weights: { coding: 'codebook' }, samples: 200, max_iterations: 3 },
    };
    const { artifacts, metrics } = await compressLocally(localOptions({ ...files, model: path }, output, options));
    expect(artifacts).toContain('model.zip');
    expect(metrics.bytes.after).toBe((await stat(join(output, 'model.zip'))).size);
    expect(metrics.coding?.uncoded.accuracy?.samples).toBe(64);
    await loadModel(join(output, 'model.zip'), { directory: scratch(), limits: LIMITS });
  });
});
