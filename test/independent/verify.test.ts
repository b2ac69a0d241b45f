import { spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Metrics } from '../../src/jobs/results.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { scratch } from '../models/graphs.js';
import { localOptions, type Files } from '../pipeline/network.js';

const EXAMPLE = fileURLToPath(new URL('../../examples/fashion-mnist/', import.meta.url));
const VERIFY = fileURLToPath(new URL('./verify.py', import.meta.url));
const python = process.env['SPARANK_PYTHON'] ?? '';
if (python === '') {
  console.warn('SPARANK_PYTHON does not name a Python with onnx and onnxruntime: the independent reader is left out');
}

describe.runIf(python !== '')('the independent reader', () => {
  const files: Files = {
    model: join(EXAMPLE, 'model.onnx'),
    calibration: join(EXAMPLE, 'calibration.npz'),
    evaluation: join(EXAMPLE, 'evaluation.npz'),
  };
  const job = async (weights: Record<string, unknown>) => {
    const output = scratch();
    const quick = {
      benchmark: { batch_sizes: [1] },
      target: { parameter_ratio: 2 },
      method: { weights, samples: 500, max_iterations: 5, distillation_passes: 0 },
    };
    await compressLocally(localOptions(files, output, quick));
    return output;
  };
  let output: string;
  beforeAll(async () => {
    output = await job({});
  });

  const verify = (report: string, folder = output) => {
    const compressed = join(folder, 'model.onnx');
    const named = ['--original', files.model, '--compressed', compressed, '--report', report];
    return spawnSync(python, [VERIFY, ...named, '--evaluation', files.evaluation], { encoding: 'utf8' });
  };

  it('finds the parameters, bytes, MACs and accuracies that the report states', () => {
    const { status, stdout, stderr } = verify(join(output, 'report.json'));
    expect(stderr + stdout).toMatch(/The report agrees/);
    expect(status).toBe(0);
  });

  it.each([
    { coding: 'float16' },
    { coding: 'int8' },
    { coding: 'static_int8' },
    { coding: 'codebook' },
    { coding: 'codebook', bits: 8 },
  ])('finds them with weights kept as %j', async (weights) => {
    const folder = await job(weights);
    const { status, stdout, stderr } = verify(join(folder, 'report.json'), folder);
    expect(stderr + stdout).toMatch(/The report agrees/);
    expect(status).toBe(0);
  });

  it('notices a report that is better than the model', async () => {
    const report = JSON.parse(await readFile(join(output, 'report.json'), 'utf8')) as { metrics: Metrics };
    report.metrics.parameters.after -= 1;
    const path = join(scratch(), 'report.json');
    await writeFile(path, JSON.stringify(report));
    const { status, stdout, stderr } = verify(path);
    expect(stdout + stderr).toMatch(/parameters after/);
    expect(stdout + stderr).not.toMatch(/The report agrees/);
    expect(status).toBe(1);
  });
});
