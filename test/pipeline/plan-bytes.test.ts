import { stat } from 'node:fs/promises';
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

const job = async (target: object, method: Record<string, unknown> = {}, more: { model?: string } = {}) => {
  const output = scratch();
  const result = await compressLocally(
    localOptions({ ...files, ...more }, output, {
      target,
      method: { samples: 200, max_iterations: 3, distillation_passes: 0, ...method },
      benchmark: { batch_sizes: [1] },
    }),
  );
  const before = (await stat(more.model ?? files.model)).size;
  const path = join(output, result.artifacts.find((name) => name.startsWith('model.')) ?? '');
  return { ...result, path, before, bytes: (await stat(path)).size };
};

describe('a target of bytes', () => {
  // The weights have a low rank: at four times nothing more is to be gained. At twelve times one table is an eighth of the file.
  it.each([
    [4, 1.25],
    [8, 1.15],
    [12, 1.25],
  ])('of %i times fewer is kept by the file, and not by much more than asked', async (asked, most) => {
    const { metrics, verdict, before, bytes, layers } = await job({ bytes_ratio: asked });
    expect(before / bytes).toBeGreaterThanOrEqual(asked);
    expect(before / bytes).toBeLessThan(most * asked);
    expect(metrics.bytes.ratio).toBeCloseTo(before / bytes, 6);
    expect(verdict.checks[0]).toMatchObject({ name: 'target.bytes_ratio', required: asked, passed: true });
    expect(metrics.coding?.coding).toMatch(/^codebook of \d( to \d)? bits$/);
    for (const { weight_bits: bits } of layers) expect([2, 3, 4, 8]).toContain(bits);
  });

  it('keeps names of inputs and outputs, and is read by anybody', async () => {
    const { path } = await job({ bytes_ratio: 6 });
    const { graph } = await loadModel(path, { directory: scratch(), limits: LIMITS });
    expect([...graph.input, ...graph.output].map(({ name }) => name)).toEqual(['x', 'logits']);
  });

  it.each([
    ['int8', 'int8'],
    ['static_int8', 'static_int8'],
    ['float32', undefined],
    ['codebook', 'codebook of 4 bits'],
  ])('with a coding of its own is planned for that: %s', async (coding, reported) => {
    const asked = coding === 'float32' ? 3 : 5;
    const { metrics, before, bytes, layers } = await job({ bytes_ratio: asked }, { weights: { coding } });
    expect(metrics.coding?.coding).toBe(reported);
    expect(before / bytes).toBeGreaterThanOrEqual(asked);
    expect(layers.map(({ weight_bits: bits }) => bits).every((bits) => bits === undefined)).toBe(true);
  });

  it('that no network reaches gives the smallest, and says so', async () => {
    const { verdict, before, bytes } = await job({ bytes_ratio: 500 });
    expect(verdict.passed).toBe(false);
    expect(before / bytes).toBeGreaterThan(12);
    expect(verdict.warnings?.map(({ code }) => code)).toContain('target_out_of_reach');
  });

  it('is kept by a zip with external data, too', async () => {
    const directory = scratch();
    const model = await loadModel(files.model, { directory, limits: LIMITS });
    const path = join(directory, 'model.zip');
    await saveModel({ ...model, format: 'onnx_zip', filename: 'model.onnx' }, path);
    const { before, bytes } = await job({ bytes_ratio: 6 }, {}, { model: path });
    expect(before / bytes).toBeGreaterThanOrEqual(6);
  });

  it.each(['tfjs_graph', 'tfjs_layers'])('has bytes for weights in the format %s', async (format) => {
    const output = scratch();
    const { metrics, verdict, artifacts } = await compressLocally(
      localOptions(files, output, {
        target: { bytes_ratio: 4 },
        output: { format },
        method: { samples: 200, max_iterations: 3, distillation_passes: 0 },
        benchmark: { batch_sizes: [1] },
      }),
    );
    expect(artifacts).toContain('model.zip');
    expect(metrics.coding?.coding).toBe('uint8');
    expect(metrics.bytes.after).toBe((await stat(join(output, 'model.zip'))).size);
    expect(verdict.checks[0]).toMatchObject({ name: 'target.bytes_ratio', passed: true });
  });

  it('is one point of several, of which the others keep their names and their numbers', async () => {
    const output = scratch();
    const { points } = await compressLocally(
      localOptions(files, output, {
        target: undefined,
        targets: [{ parameter_ratio: 2 }, { bytes_ratio: 8 }],
        method: { samples: 200, max_iterations: 3, distillation_passes: 0 },
        benchmark: { batch_sizes: [1] },
      }),
    );
    expect(points.map(({ metrics }) => metrics?.coding?.coding !== undefined)).toEqual([false, true]);
    expect(points.map(({ verdict }) => verdict?.passed)).toEqual([true, true]);
  });

  it('leaves more of the outputs when tables and weights are changed together', async () => {
    const plain = await job({ bytes_ratio: 12 });
    const { metrics } = await job({ bytes_ratio: 12 }, { distillation_passes: 40 });
    const { distillation } = metrics.coding ?? {};
    // Of 40.
    expect(distillation).toMatchObject({ kept: true, passes: 28 });
    expect(distillation?.relative_error_after).toBeLessThan(distillation?.relative_error_before ?? 0);
    expect(metrics.fidelity.relative_error).toBeLessThan(plain.metrics.fidelity.relative_error);
  });
});
