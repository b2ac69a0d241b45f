import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { loadModel, prepare } from '../../src/models/index.js';
import { initializersOf } from '../../src/models/ir/model.js';
import { tensorFloats } from '../../src/models/ir/tensors.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { noise, node, proto, scratch, tensorOf, writeProto } from '../models/graphs.js';
import { makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { LIMITS, localOptions, writeFiles, type Files } from './network.js';

const PADS = [makeInts('pads', [1, 1, 1, 1])];
/** Random weights have full rank: whatever compresses them loses much. `end`: an operator behind the logits. */
const hardNetwork = (end?: string) =>
  proto({
    input: [3, 8, 8],
    output: 'y',
    tensors: [
      tensorOf('w0', [16, 3, 3, 3], 11),
      tensorOf('w1', [16, 16, 3, 3], 21),
      tensorOf('w2', [16, 16, 3, 3], 31),
      tensorOf('wf', [6, 64], 41),
      tensorOf('bf', [6], 43),
    ],
    nodes: [
      node('Conv', ['x', 'w0'], 'c0', PADS, 'conv0'),
      node('Relu', ['c0'], 'a0'),
      node('Conv', ['a0', 'w1'], 'c1', PADS, 'conv1'),
      node('Relu', ['c1'], 'a1'),
      node('Conv', ['a1', 'w2'], 'c2', PADS, 'conv2'),
      node('Add', ['c2', 'a0'], 's'),
      node('Relu', ['s'], 'a2'),
      node('MaxPool', ['a2'], 'p', [makeInts('kernel_shape', [4, 4]), makeInts('strides', [4, 4])]),
      node('Flatten', ['p'], 'f'),
      node('Gemm', ['f', 'wf', 'bf'], end === undefined ? 'y' : 'logits', [makeInt('transB', 1)], 'classifier'),
      ...(end === undefined ? [] : [node(end, ['logits'], 'y')]),
    ],
  });

async function filesOf(model = hardNetwork(), count = 1024): Promise<Files> {
  const directory = scratch();
  const path = (name: string) => join(directory, `${name}.npz`);
  for (const [name, samples, seed] of [
    ['calibration', count, 7],
    ['evaluation', 256, 8],
  ] as const)
    await writeNpz(path(name), {
      x: { dims: [samples, 3, 8, 8], data: noise(samples * 192, seed).map((v) => 2 * v) },
    });
  return { model: writeProto(model, directory), calibration: path('calibration'), evaluation: path('evaluation') };
}

const run = async (files: Files, passes: number | null, method: object = {}, wish: object = {}) => {
  const output = scratch();
  const result = await compressLocally(
    localOptions(files, output, {
      target: { parameter_ratio: 8 },
      // Without a refit, so that there is much to gain for so small a network.
      method: { samples: 1024, inputs: 'symmetric', distillation_passes: passes, drop_branches: false, ...method },
      ...wish,
    }),
  );
  const digest = createHash('sha256')
    .update(await readFile(join(output, 'model.onnx')))
    .digest('hex');
  return { ...result, output, digest };
};

describe('distillation', () => {
  it('brings the outputs on unseen samples nearer to the original, at the same size, and reports it', async () => {
    const files = await filesOf();
    const without = await run(files, 0);
    const auto = await run(files, null, {}, { effort: 'quick' });
    expect(without.metrics.distillation).toBeUndefined();
    expect(auto.metrics.distillation).toMatchObject({ passes: 16, samples: 896, held_out: 128, kept: true });
    expect(auto.metrics.fidelity.relative_error).toBeLessThan(0.95 * without.metrics.fidelity.relative_error);
    expect(auto.metrics.parameters).toEqual(without.metrics.parameters);
    expect(auto.metrics.macs).toEqual(without.metrics.macs);
  });

  it('goes over samples that are varied in ways that leave them what they are', async () => {
    const files = await filesOf(hardNetwork(), 256);
    const [without, varied] = [await run(files, 0), await run(files, 24)];
    const { variations, kept } = varied.metrics.distillation ?? {};
    // Noise is noise however it lies.
    expect([kept, variations]).toEqual([true, ['mixed', 'mirrored', 'shifted']]);
    expect(varied.metrics.fidelity.relative_error).toBeLessThan(0.95 * without.metrics.fidelity.relative_error);
    const again = await run(files, 24);
    expect(again.digest).toBe(varied.digest);
  });

  it('is judged on held-out samples that are moved, where the fit has seen them as they are', async () => {
    // So few samples for so many weights that the fit knows them by heart.
    const files = await filesOf(hardNetwork(), 96);
    const [without, tuned] = [await run(files, 0), await run(files, 24)];
    const { relative_error_before: unseen = 0, held_out: held, variations } = tuned.metrics.distillation ?? {};
    expect([held, variations]).toEqual([8, ['mixed', 'mirrored', 'shifted']]);
    const ratio = unseen / without.metrics.fidelity.relative_error;
    // As they are 0.92.
    expect(ratio).toBeGreaterThan(0.95);
    expect(ratio).toBeLessThan(1.25);
  });

  it('gives the same model for the same seed', async () => {
    const files = await filesOf();
    const [first, second, other] = [await run(files, 6), await run(files, 6), await run(files, 7)];
    expect(first.digest).toBe(second.digest);
    expect(first.digest).not.toBe(other.digest);
  });

  it('does nothing where the outputs are near already, the samples few, or the effort too little, and says so', async () => {
    const near = await run(
      await writeFiles(scratch()),
      null,
      {},
      { target: { parameter_ratio: 3 }, effort: 'standard' },
    );
    expect(near.metrics.fidelity.relative_error).toBeLessThan(0.02);
    expect(near.metrics).toMatchObject({ not_distilled: 'near' });
    const few = await run(await filesOf(hardNetwork(), 60), 4);
    expect(few.metrics).toMatchObject({ not_distilled: 'few_samples' });
    const little = await run(await filesOf(), null, {}, { effort: 1 });
    expect(little.metrics).toMatchObject({ not_distilled: 'beyond_effort' });
    expect(little.verdict.warnings?.find(({ code }) => code === 'outputs_moved')?.next).toMatch(
      /^give it more effort, /,
    );
    for (const { metrics } of [near, few, little]) expect(metrics.distillation).toBeUndefined();
    const unasked = await run(await filesOf(hardNetwork(), 60), 0);
    expect(unasked.metrics.not_distilled).toBeUndefined();
  });

  it('goes on what is before a softmax', async () => {
    const result = await run(await filesOf(hardNetwork('Softmax')), 6);
    expect(result.metrics.distillation?.kept).toBe(true);
  });

  it('trains up to an operator that it has no derivative for', async () => {
    const result = await run(await filesOf(hardNetwork('Selu')), 6);
    const { relative_error_before: before = 0, relative_error_after: after = 0 } = result.metrics.distillation ?? {};
    expect(after).toBeLessThan(before);
  });

  it('leaves layers alone that the job leaves alone, and keeps the zeros of a pattern', async () => {
    const files = await filesOf();
    const wish = { target: { nonzero_ratio: 1.3 } };
    const method = {
      components: ['sparse'],
      pattern: 'n:m',
      layers: { include: [], exclude: ['conv1', 'classifier'] },
    };
    const [without, tuned] = [await run(files, 0, method, wish), await run(files, 4, method, wish)];
    expect(tuned.metrics.distillation?.kept).toBe(true);
    const weights = async (output: string) => {
      const model = await loadModel(join(output, 'model.onnx'), { directory: scratch(), limits: LIMITS });
      const tensors = initializersOf(prepare(model).graph);
      return new Map(
        [...tensors].filter(([, t]) => t.dataType === 1).map(([name, t]) => [name, tensorFloats(t, model.directory)]),
      );
    };
    const [before, after] = [await weights(without.output), await weights(tuned.output)];
    expect(after.get('w1')).toEqual(before.get('w1'));
    expect(after.get('wf')).toEqual(before.get('wf'));
    let changed = 0;
    for (const [name, values] of after) {
      const old = before.get(name);
      if (values.some((value, i) => value !== old?.[i])) changed += 1;
      for (const [i, value] of values.entries()) expect(value === 0).toBe(old?.[i] === 0);
    }
    expect(changed).toBeGreaterThan(0);
    expect(tuned.metrics.nonzeros?.after).toBe(without.metrics.nonzeros?.after);
  });

  it('ends when the job is canceled', async () => {
    const files = await filesOf();
    const controller = new AbortController();
    const options = localOptions(files, scratch(), {
      target: { parameter_ratio: 8 },
      method: { samples: 1024, distillation_passes: 1000 },
    });
    let passed = 0;
    const job = compressLocally({
      ...options,
      signal: controller.signal,
      onProgress: (kind, _layer, fraction) => {
        if (kind === 'assemble' && fraction > 0.6 && ++passed === 5) controller.abort();
      },
    });
    await expect(job).rejects.toThrow(/abort/i);
    expect(passed).toBeLessThan(50);
  });

  it('takes a network that is fixed to one batch size', async () => {
    const fixed = hardNetwork();
    const [input] = fixed.graph?.input ?? [];
    const batch = input?.type?.tensorType?.shape?.dim[0];
    if (batch === undefined) throw new Error('the input has no batch');
    delete batch.dimParam;
    batch.dimValue = 8;
    const result = await run(await filesOf(fixed), 3);
    expect(result.metrics.distillation).toMatchObject({ passes: 3, held_out: 128 });
  });
});
