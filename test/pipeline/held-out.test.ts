import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openDataset, writeNpz } from '../../src/datasets/index.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { splitSamples } from '../../src/pipeline/network/held-out.js';
import { noise, scratch } from '../models/graphs.js';
import { LIMITS, localOptions, SAMPLES, SIDE, writeFiles } from './network.js';

const SEED = 1;

describe('which calibration samples are held out', () => {
  it.each([
    { count: 1, batch: null, held: 0 },
    { count: 9, batch: null, held: 0 },
    { count: 10, batch: null, held: 2 },
    { count: 96, batch: null, held: 19 },
    { count: 5000, batch: null, held: 1000 },
    { count: 9000, batch: null, held: 1000 },
    // The fit takes whole batches, what is left over is held out too.
    { count: 100, batch: 32, held: 36 },
    // One batch would be left of nearly two.
    { count: 120, batch: 59, held: 0 },
  ])('of $count samples for batches of $batch: $held', ({ count, batch, held }) => {
    const { fit, heldOut } = splitSamples(count, SEED, batch);
    expect(heldOut).toHaveLength(held);
    expect([...fit, ...heldOut].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
  });

  it('the seed chooses, the same every time', () => {
    expect(splitSamples(200, 3, null)).toEqual(splitSamples(200, 3, null));
    expect(splitSamples(200, 3, null)).not.toEqual(splitSamples(200, 4, null));
  });

  it('runs of neighbours, from every stretch of the set', () => {
    const { heldOut } = splitSamples(1000, SEED, null);
    for (let begin = 0; begin < 1000; begin += 200)
      expect(heldOut.some((row) => row >= begin && row < begin + 200)).toBe(true);
    const alone = [...heldOut].filter((row) => !heldOut.includes(row - 1) && !heldOut.includes(row + 1));
    expect(alone).toEqual([]);
  });
});

/** Calibration data in which the samples with these numbers are others. */
async function calibrationWith(changed: readonly number[]): Promise<string> {
  const row = 3 * SIDE * SIDE;
  const data = noise(SAMPLES * row, 7).map((v) => 2 * v);
  for (const sample of changed) data.set(noise(row, 1000 + sample), sample * row);
  const path = join(scratch(), 'calibration.npz');
  await writeNpz(path, { x: { dims: [SAMPLES, 3, SIDE, SIDE], data } });
  return path;
}

describe('a job without evaluation data', () => {
  // Networks that are planted twice have other biases.
  const planted = writeFiles(scratch());
  const compressed = async (changed: readonly number[]) => {
    const files = { ...(await planted), calibration: await calibrationWith(changed) };
    const output = scratch();
    const given = {
      target: { parameter_ratio: 6 },
      method: { seed: SEED, distillation_passes: 1, weights: { coding: 'static_int8' } },
      benchmark: { batch_sizes: [1] },
      evaluation: null,
    };
    const { metrics } = await compressLocally({ ...localOptions(files, output, given), evaluation: null });
    return { metrics, model: await readFile(join(output, 'model.onnx')) };
  };

  it('measures on samples that touched no byte of the model', async () => {
    const { fit, heldOut } = splitSamples(SAMPLES, SEED, null);
    const first = await compressed([]);
    expect(first.metrics.measured_on).toEqual({ data: 'held_out', samples: 19 });
    expect(first.metrics.fidelity.samples).toBe(19);
    const others = await compressed([...heldOut]);
    expect(others.model.equals(first.model)).toBe(true);
    expect(others.metrics.fidelity.relative_error).not.toBe(first.metrics.fidelity.relative_error);
    const refitted = await compressed([...fit.subarray(0, 10)]);
    expect(refitted.model.equals(first.model)).toBe(false);
  });
});

it('evaluation data without labels is measured on, and no calibration sample is held out', async () => {
  const files = await writeFiles(scratch());
  const evaluation = join(scratch(), 'evaluation.npz');
  await writeNpz(evaluation, { x: { dims: [20, 3, SIDE, SIDE], data: noise(20 * 3 * SIDE * SIDE, 9) } });
  // Random weights: nothing in the values says that they are scores of classes.
  const given = { answers: 'classes' };
  const { metrics } = await compressLocally(localOptions({ ...files, evaluation }, scratch(), given));
  expect(metrics.measured_on).toEqual({ data: 'evaluation', samples: 20 });
  expect(metrics.accuracy).toBeNull();
  expect(metrics.fidelity.top1_agreement).toBeGreaterThan(0.9);
});

it('a part of a dataset has its samples and labels, and tells their numbers in the file', async () => {
  const path = join(scratch(), 'data.npz');
  const x = { dims: [6, 2], data: Float32Array.from({ length: 12 }, (_, i) => (i === 9 ? NaN : i)) };
  await writeNpz(path, { x, y: { dims: [6], data: Int32Array.of(0, 1, 2, 0, 1, 2) } });
  const limits = { ...LIMITS, maxSamples: 10 };
  const data = await openDataset(path, { directory: scratch(), limits, what: 'calibration' });
  try {
    const part = data.subset(Uint32Array.of(1, 2, 4, 5));
    expect(part.count).toBe(4);
    expect([...(part.labels ?? [])]).toEqual([1, 2, 1, 2]);
    expect((await part.batch(0, 2)).get('x')).toEqual({ dims: [2, 2], data: Float32Array.of(2, 3, 4, 5) });
    expect((await part.batch(1, 2)).get('x')).toEqual({ dims: [1, 2], data: Float32Array.of(4, 5) });
    await expect(part.batch(1, 3)).rejects.toThrow(/sample 4/);
    const whole = data.subset(Uint32Array.of(0, 3)).batch(0, 2);
    expect((await whole).get('x')).toEqual({ dims: [2, 2], data: Float32Array.of(0, 1, 6, 7) });
    await expect(part.verify()).rejects.toThrow(/sample 4/);
  } finally {
    await data.close();
  }
});
