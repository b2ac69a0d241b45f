import { spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Metrics } from '../../src/jobs/results.js';
import type { ModelProto } from '../../src/models/ir/messages.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { scratch } from '../models/graphs.js';
import { CLASSES, localOptions, plantedNetwork, writeFiles, type Files } from '../pipeline/network.js';

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
  const job = async (files: Files, weights: Record<string, unknown> = {}) => {
    const output = scratch();
    const quick = {
      benchmark: { batch_sizes: [1] },
      target: { parameter_ratio: 2 },
      method: { weights, samples: 500, max_iterations: 5, distillation_passes: 0 },
    };
    await compressLocally(localOptions(files, output, quick));
    return output;
  };
  /** A small one, as the ONNX checker wants it. */
  function networkWithShapes(): ModelProto {
    const model = plantedNetwork();
    const type = model.graph?.output[0]?.type?.tensorType;
    if (!type) throw new Error('the network has no output');
    type.shape = { dim: [{ dimParam: 'batch' }, { dimValue: CLASSES }] };
    return model;
  }
  let output: string;
  beforeAll(async () => {
    output = await job(files);
  });

  const verify = (report: string, folder = output, { model, evaluation } = files) => {
    const compressed = join(folder, 'model.onnx');
    const named = ['--original', model, '--compressed', compressed, '--report', report];
    return spawnSync(python, [VERIFY, ...named, '--evaluation', evaluation], { encoding: 'utf8' });
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
    const small = await writeFiles(scratch(), networkWithShapes());
    const folder = await job(small, weights);
    const { status, stdout, stderr } = verify(join(folder, 'report.json'), folder, small);
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
