import { createHash } from 'node:crypto';
import { readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { InputError } from '../../src/errors/index.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { listLayers, loadModel, prepare, Runner } from '../../src/models/index.js';
import { floatTensor, tensorDims } from '../../src/models/ir/tensors.js';
import { batchOf, noise, scratch, tensorOf, writeProto } from '../models/graphs.js';
import { LIMITS, localOptions, plantedNetwork, SIDE, writeFiles, type Files } from './network.js';

const sha256 = async (path: string) =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex');

let files: Files;
beforeAll(async () => {
  files = await writeFiles(scratch());
});

/** The error that a job on these files ends with. */
async function refusal(changed: Partial<Files>, given: Record<string, unknown> = {}): Promise<InputError> {
  const error: unknown = await compressLocally(localOptions({ ...files, ...changed }, scratch(), given)).catch(
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(InputError);
  return error as InputError;
}

describe('the whole way of a job', () => {
  it('finds planted low-rank layers, keeps the outputs, and reports what is in the file', async () => {
    const output = scratch();
    const result = await compressLocally(localOptions(files, output));
    expect(result.artifacts.sort()).toEqual(['manifest.json', 'model.onnx', 'report.html', 'report.json']);
    expect(result.verdict.passed).toBe(true);
    expect(result.metrics.parameters.ratio).toBeGreaterThanOrEqual(3);
    // Rank 4 is exact, so nothing but rounding may be lost.
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.02);
    expect(result.metrics.accuracy?.drop).toBe(0);

    const model = await loadModel(join(output, 'model.onnx'), { directory: scratch(), limits: LIMITS });
    const listed = await listLayers(prepare(model), batchOf([3, SIDE, SIDE], 2), { threads: 1 });
    expect(listed.parameters).toBe(result.metrics.parameters.after);
    expect(listed.macs).toBe(result.metrics.macs.after);
    expect((await stat(join(output, 'model.onnx'))).size).toBe(result.metrics.bytes.after);
    expect(result.layers.reduce((sum, row) => sum + row.parameters.after, 0)).toBe(listed.parameters);

    const report = JSON.parse(await readFile(join(output, 'report.json'), 'utf8')) as {
      metrics: unknown;
      layers: unknown[];
    };
    expect(report.metrics).toEqual(result.metrics);
    const memory = result.metrics.memory ?? { peak_bytes: 0, limit_bytes: 0 };
    expect(memory.limit_bytes).toBe(LIMITS.layerMemoryBytes);
    expect(memory.peak_bytes).toBeGreaterThan(process.memoryUsage().heapUsed / 2);
    // Two counters of the kernel, which do not agree to the page.
    expect(memory.peak_bytes).toBeLessThan(2 * process.resourceUsage().maxRSS * 1024);
    expect(report.layers).toHaveLength(4);
    const manifest = JSON.parse(await readFile(join(output, 'manifest.json'), 'utf8')) as {
      outputs: { name: string; sha256: string }[];
      inputs: { model: { sha256: string } };
    };
    expect(manifest.inputs.model.sha256).toBe(await sha256(files.model));
    for (const { name, sha256: digest } of manifest.outputs) expect(digest).toBe(await sha256(join(output, name)));
  });

  it('goes the same way with errors that are weighed by their effect on the outputs, and makes another model', async () => {
    const outputs = [scratch(), scratch(), scratch()];
    const metrics = ['outputs', 'outputs', 'responses'];
    const digests: string[] = [];
    for (const [i, output] of outputs.entries()) {
      const method = { error_metric: metrics[i], inputs: 'refit' };
      const result = await compressLocally(localOptions(files, output, { method }));
      expect(result.metrics.fidelity.relative_error).toBeLessThan(0.02);
      expect(result.verdict.passed).toBe(true);
      digests.push(await sha256(join(output, 'model.onnx')));
    }
    expect(digests[0]).toBe(digests[1]);
    expect(digests[0]).not.toBe(digests[2]);
  });

  it('tells its progress within every layer, and never goes back', async () => {
    const seen = new Map<string, number[]>();
    const onProgress = (kind: string, layer: { index: number } | null, fraction: number) => {
      const key = `${kind} ${String(layer?.index ?? '')}`.trim();
      seen.set(key, [...(seen.get(key) ?? []), fraction]);
    };
    await compressLocally({ ...localOptions(files, scratch(), { method: { inputs: 'refit' } }), onProgress });
    for (const [step, fractions] of seen) {
      expect(fractions, step).toEqual([...fractions].sort((a, b) => a - b));
      expect(fractions.at(-1), step).toBe(1);
    }
    // Four layers: three times each after the pass over the data, and twice before every fit that is made again.
    expect(new Set(seen.get('inspect')).size).toBeGreaterThanOrEqual(12);
    expect(new Set(seen.get('assemble')).size).toBeGreaterThanOrEqual(8);
  });

  it('gives the same model for the same seed', async () => {
    const outputs = [scratch(), scratch()];
    for (const output of outputs) await compressLocally(localOptions(files, output));
    const digests = await Promise.all(outputs.map((output) => sha256(join(output, 'model.onnx'))));
    expect(digests[0]).toBe(digests[1]);
  });

  it.each(['symmetric', 'refit', 'asymmetric'])('works with inputs: %s', async (inputs) => {
    const result = await compressLocally(localOptions(files, scratch(), { method: { inputs } }));
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.05);
  });

  it('reaches a MAC ratio', async () => {
    const result = await compressLocally(localOptions(files, scratch(), { target: { mac_ratio: 2.5 } }));
    expect(result.metrics.macs.ratio).toBeGreaterThanOrEqual(2.5);
    expect(result.verdict.checks[0]).toMatchObject({ name: 'target.mac_ratio', passed: true });
  });

  it('finds a small network within an accuracy drop, and needs labels for it', async () => {
    const wish = { target: { max_accuracy_drop: 0 }, method: { samples: 500 } };
    const result = await compressLocally(localOptions(files, scratch(), wish));
    expect(result.verdict.checks[0]).toMatchObject({ name: 'target.max_accuracy_drop', passed: true });
    // The planted layers have rank 4 of 27 and 32: nothing is lost far below the dense size.
    expect(result.metrics.parameters.ratio).toBeGreaterThan(2);
    const error = await refusal({ evaluation: files.calibration }, wish);
    expect(error.code).toBe('invalid_spec');
    expect(error.faults[0]?.pointer).toBe('/evaluation');
  });

  it('keeps excluded layers dense and says so', async () => {
    const method = { layers: { include: [], exclude: ['conv1'] } };
    const result = await compressLocally(localOptions(files, scratch(), { method, target: { parameter_ratio: 1.5 } }));
    const row = result.layers.find(({ name }) => name === 'conv1');
    expect(row).toMatchObject({ decision: 'dense', reason: 'excluded by the specification', rank: null });
  });

  it('fails the verdict, not the job, when a constraint does not hold', async () => {
    const result = await compressLocally(localOptions(files, scratch(), { constraints: { min_speedup: 1000 } }));
    expect(result.verdict.passed).toBe(false);
  });

  it('leaves nothing behind, done or failed', async () => {
    const temporary = scratch();
    await compressLocally({ ...localOptions(files, scratch()), temporary });
    const unreachable = localOptions(files, scratch(), { target: { parameter_ratio: 900 } });
    await expect(compressLocally({ ...unreachable, temporary })).rejects.toThrow(InputError);
    expect(await readdir(temporary)).toEqual([]);
  });

  it('takes a network with several outputs, one of them in the middle of a layer', async () => {
    const heads = plantedNetwork();
    const output = heads.graph?.output[0];
    if (!heads.graph || output === undefined) throw new Error('the planted network has no output');
    heads.graph.output = [output, ...['f', 'c1'].map((name) => ({ name, type: { tensorType: { elemType: 1 } } }))];
    const model = writeProto(heads, scratch());
    const result = await compressLocally(localOptions({ ...files, model }, scratch()));
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.05);
    expect(result.metrics.accuracy?.drop).toBe(0);
  });

  it('reaches its target where layers without bias stay dense and get one when they are refitted', async () => {
    const bare = plantedNetwork();
    if (!bare.graph) throw new Error('the planted network has no graph');
    for (const layer of bare.graph.node) if (['Conv', 'Gemm'].includes(layer.opType)) layer.input.splice(2);
    // Of full rank: something is lost in front of the layers that stay dense.
    bare.graph.initializer = bare.graph.initializer.map((t) =>
      t.name.startsWith('w') ? tensorOf(t.name, tensorDims(t), 51) : t,
    );
    const model = writeProto(bare, scratch());
    // Enough of them for a refit to do better on those that are held out from it.
    const calibration = join(scratch(), 'many.npz');
    const images = 1500;
    const values = noise(images * 3 * SIDE * SIDE, 7).map((v) => 2 * v);
    await writeNpz(calibration, { x: { dims: [images, 3, SIDE, SIDE], data: values } });
    const output = scratch();
    const wish = { target: { parameter_ratio: 2 }, method: { components: ['low_rank'] } };
    const result = await compressLocally(localOptions({ ...files, calibration, model }, output, wish));
    const saved = await loadModel(join(output, 'model.onnx'), { directory: scratch(), limits: LIMITS });
    const listed = await listLayers(prepare(saved), batchOf([3, SIDE, SIDE], 2), { threads: 1 });
    const grown = result.layers.filter(({ decision, parameters: of }) => decision === 'dense' && of.after > of.before);
    expect(grown).not.toEqual([]);
    expect(grown.map(({ parameters: of }) => of.after - of.before)).toEqual(grown.map(({ shape }) => shape[0]));
    expect(result.layers.reduce((sum, row) => sum + row.parameters.after, 0)).toBe(listed.parameters);
    expect(result.verdict.passed).toBe(true);
  });

  it('takes no rows of a map for answers', async () => {
    const map = plantedNetwork();
    const [output] = map.graph?.output ?? [];
    if (output === undefined) throw new Error('the planted network has no output');
    output.name = 'p';
    const model = writeProto(map, scratch());
    const result = await compressLocally(localOptions({ ...files, model, evaluation: files.calibration }, scratch()));
    expect(result.metrics.fidelity.top1_agreement).toBeNull();
    const error = await refusal({ model });
    expect(error.code).toBe('invalid_dataset');
    expect(error.faults[0]?.pointer).toBe('#evaluation/y');
    expect(error.message).toMatch(/p of the model is \[1, 32, 4, 4\] for one sample/);
  });

  it('does not depend on how many calibration images fit a fixed batch', async () => {
    const fixed = plantedNetwork();
    const dim = fixed.graph?.input[0]?.type?.tensorType?.shape?.dim[0];
    if (dim === undefined) throw new Error('the planted network has no batch axis');
    delete dim.dimParam;
    dim.dimValue = 10;
    const model = writeProto(fixed, scratch());
    // Fewer evaluation samples than one batch: the rest of the batch is filled up.
    const evaluation = join(scratch(), 'few.npz');
    const y = { dims: [3], data: BigInt64Array.from([0n, 1n, 2n]) };
    await writeNpz(evaluation, { x: { dims: [3, 3, SIDE, SIDE], data: noise(3 * 3 * SIDE * SIDE) }, y });
    const result = await compressLocally(localOptions({ ...files, model, evaluation }, scratch()));
    expect(result.metrics.parameters.ratio).toBeGreaterThanOrEqual(3);
    expect(result.metrics.accuracy?.samples).toBe(3);
    expect(result.metrics.latency.map(({ batch }) => batch)).toEqual([10]);
    const runner = await Runner.open(model, { threads: 1 });
    expect(runner.fixedBatch).toBe(10);
    await runner.release();
  });
});

describe('bad input ends with a clear error', () => {
  it.each([
    ['an empty model', '', /empty/],
    ['a text instead of a model', 'this is not a network', /not an ONNX model|ONNX/],
  ])('%s', async (_, content, message) => {
    const model = join(scratch(), 'model.onnx');
    await writeFile(model, content);
    const error = await refusal({ model });
    expect(error.code).toBe('invalid_model');
    expect(error.message).toMatch(message);
  });

  it('a truncated model', async () => {
    const model = join(scratch(), 'model.onnx');
    await writeFile(model, (await readFile(files.model)).subarray(0, 5000));
    expect((await refusal({ model })).code).toBe('invalid_model');
  });

  it('a NaN in the weights, naming the tensor', async () => {
    const bad = plantedNetwork();
    const values = noise(32 * 32 * 9, 3);
    values[17] = Number.NaN;
    if (bad.graph)
      bad.graph.initializer = bad.graph.initializer.map((t) =>
        t.name === 'w1' ? floatTensor('w1', [32, 32, 3, 3], values) : t,
      );
    const error = await refusal({ model: writeProto(bad, scratch()) });
    expect(error.code).toBe('invalid_model');
    expect(error.message).toMatch(/w1/);
  });

  it('calibration data of another shape', async () => {
    const calibration = join(scratch(), 'c.npz');
    await writeNpz(calibration, { x: { dims: [4, 1, SIDE, SIDE], data: new Float32Array(4 * SIDE * SIDE) } });
    const error = await refusal({ calibration });
    expect(error.code).toBe('invalid_dataset');
    expect(error.faults[0]?.pointer).toBe('#calibration/x');
  });

  it('a single calibration sample for a fully connected layer', async () => {
    const calibration = join(scratch(), 'c.npz');
    await writeNpz(calibration, { x: { dims: [1, 3, SIDE, SIDE], data: noise(3 * SIDE * SIDE) } });
    const error = await refusal({ calibration });
    expect(error.code).toBe('invalid_dataset');
    expect(error.faults[0]?.pointer).toBe('#calibration/x');
  });

  it('labels out of range', async () => {
    const evaluation = join(scratch(), 'e.npz');
    const y = BigInt64Array.from([0n, 1n, 7n, 0n]);
    await writeNpz(evaluation, {
      x: { dims: [4, 3, SIDE, SIDE], data: noise(4 * 3 * SIDE * SIDE) },
      y: { dims: [4], data: y },
    });
    const error = await refusal({ evaluation });
    expect(error.code).toBe('invalid_dataset');
    expect(error.message).toMatch(/label 7 of sample 2/);
  });

  it('a target out of reach, with the ratio that can be reached', async () => {
    const error = await refusal({}, { target: { parameter_ratio: 900 } });
    expect(error.code).toBe('unreachable_target');
    expect(error.faults[0]).toMatchObject({ pointer: '/target/parameter_ratio' });
    expect(error.message).toMatch(/it is \d+\.\d+/);
  });

  it('an unknown layer in the specification', async () => {
    const error = await refusal({}, { method: { layers: { include: ['conv9'], exclude: [] } } });
    expect(error.code).toBe('invalid_spec');
    expect(error.faults[0]?.pointer).toBe('/method/layers/include/0');
  });
});
