import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { openDataset, writeNpz } from '../../src/datasets/index.js';
import { countIntegerLayers, loadModel, prepare, Runner, type Model } from '../../src/models/index.js';
import { makeInts } from '../../src/models/ir/attributes.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import { activationHistograms } from '../../src/pipeline/integers/activation-ranges.js';
import { integerNetwork } from '../../src/pipeline/integers/integer-network.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { build, node, noise, scratch, tensorOf, type Sketch } from '../models/graphs.js';
import { LIMITS, localOptions, plantedNetwork, writeFiles, type Files } from './network.js';

const EXAMPLE = fileURLToPath(new URL('../../examples/fashion-mnist/', import.meta.url));
const { signal } = new AbortController();
// What is faster here is another machine's business: so every file is the same.
const quick = { weights: { coding: 'static_int8', integer_layers: 'all' }, samples: 200, max_iterations: 3 };

/** Images of the network's input shape, as calibration data. */
async function dataset(sample: number[], count: number, make = (v: number, _: number) => 2 * v) {
  const directory = scratch();
  const path = join(directory, 'calibration.npz');
  const data = noise(count * sample.reduce((a, b) => a * b, 1), 7).map(make);
  await writeNpz(path, { x: { dims: [count, ...sample], data } });
  const calibration = await openDataset(path, {
    directory,
    limits: { ...LIMITS, maxSamples: 1e4 },
    what: 'calibration',
    signal,
  });
  return { calibration, images: count, batch: 8, fixedBatch: null };
}

const context = { energies: new Map<string, Float32Array>(), bytes: 1 << 24, threads: 1, signal };

async function run(model: Model, sample: number[], count = 4) {
  const runner = await Runner.open(model, { threads: 1 });
  const data = noise(count * sample.reduce((a, b) => a * b, 1), 99).map((v) => 2 * v);
  const result = (await runner.run({ dims: [count, ...sample], data })).get('y')?.data as Float32Array;
  await runner.release();
  return result;
}

describe('a job with integers', () => {
  let files: Files;
  beforeAll(async () => {
    files = await writeFiles(scratch());
  });
  const job = (more: Record<string, unknown> = {}, output = scratch(), of = files) =>
    compressLocally(localOptions(of, output, { method: quick, benchmark: { batch_sizes: [1] }, ...more }));

  it('reports both networks, and that all layers of the file compute with integers', async () => {
    const output = scratch();
    const { metrics, layers } = await job({}, output);
    const { coding } = metrics;
    expect(coding?.coding).toBe('static_int8');
    expect(coding?.bytes.after).toBe(metrics.bytes.after);
    expect(coding?.integer_layers?.integer).toBe(coding?.integer_layers?.all);
    expect(coding?.integer_layers?.integer).toBeGreaterThan(4);
    expect(metrics.fidelity.relative_error).toBeGreaterThan(coding?.uncoded.fidelity.relative_error ?? 1);
    expect(metrics.fidelity.relative_error).toBeLessThan((coding?.uncoded.fidelity.relative_error ?? 0) + 0.1);
    expect(metrics.parameters.after).toBe(layers.reduce((sum, row) => sum + row.parameters.after, 0));
    for (const row of layers) if (row.decision === 'compressed') expect(row.latency_ms?.after).toBeGreaterThan(0);
    const model = await loadModel(join(output, 'model.onnx'), { directory: scratch(), limits: LIMITS });
    expect(countIntegerLayers(model)).toEqual(coding?.integer_layers);
  });

  it('is the same file for the same seed', async () => {
    const outputs = [scratch(), scratch()];
    for (const output of outputs) await job({}, output);
    const [a, b] = await Promise.all(outputs.map((output) => readFile(join(output, 'model.onnx'))));
    expect(b?.equals(a ?? Buffer.alloc(0))).toBe(true);
  });

  it.each([7, 9, 11])('raises a model of opset %i', async (opset) => {
    const model = { ...plantedNetwork(), opsetImport: [{ domain: '', version: opset }] };
    const output = scratch();
    const { metrics } = await job({}, output, await writeFiles(scratch(), model));
    expect(metrics.coding?.integer_layers?.integer).toBeGreaterThan(4);
    expect((await loadModel(join(output, 'model.onnx'), { directory: scratch(), limits: LIMITS })).opset).toBe(13);
  });

  it('is refused before any work where an operator cannot be raised', async () => {
    const model = { ...plantedNetwork(), opsetImport: [{ domain: '', version: 9 }] };
    const { graph } = model;
    if (graph == null) throw new Error('no graph');
    const hard = node('Hardmax', ['logits'], 'classes', [], 'hard');
    const changed = {
      ...model,
      graph: { ...graph, node: [...graph.node, hard], output: [{ ...graph.output[0], name: 'classes' }] },
    };
    await expect(job({}, scratch(), await writeFiles(scratch(), changed))).rejects.toMatchObject({
      code: 'invalid_model',
      layer: 'hard',
      faults: [{ pointer: '#model/opset_import' }, { pointer: '/method/weights/coding' }],
    });
  });

  it('of a model that takes batches of a fixed size works too', async () => {
    const model = plantedNetwork();
    const shape = model.graph?.input[0]?.type?.tensorType?.shape;
    if (shape == null) throw new Error('no shape');
    shape.dim[0] = { dimValue: 4 };
    const { metrics } = await job({}, scratch(), await writeFiles(scratch(), model));
    expect(metrics.coding?.integer_layers?.integer).toBeGreaterThan(4);
  });

  it('of the demonstration network keeps its accuracy in less than a third of the bytes', async () => {
    const example: Files = {
      model: join(EXAMPLE, 'model.onnx'),
      calibration: join(EXAMPLE, 'calibration.npz'),
      evaluation: join(EXAMPLE, 'evaluation.npz'),
    };
    const method = { ...quick, samples: 500 };
    const { metrics } = await job({ method, effort: 'quick', target: { parameter_ratio: 2 } }, scratch(), example);
    const { coding, accuracy } = metrics;
    expect(coding?.integer_layers?.integer).toBe(coding?.integer_layers?.all);
    expect(coding?.bytes.ratio).toBeGreaterThan(3);
    expect(Math.abs((accuracy?.after ?? 0) - (coding?.uncoded.accuracy?.after ?? 1))).toBeLessThan(0.01);
    expect(metrics.fidelity.top1_agreement).toBeGreaterThan((coding?.uncoded.fidelity.top1_agreement ?? 1) - 0.01);
  });
});

describe('ranges of activations', () => {
  const sketch: Sketch = {
    input: [3, 6, 6],
    tensors: [tensorOf('w', [4, 3, 3, 3])],
    nodes: [node('Conv', ['x', 'w'], 'a', [makeInts('pads', [1, 1, 1, 1])], 'conv'), node('Relu', ['a'], 'y')],
  };

  it('are the same however many images run at once', async () => {
    const model = prepare(await build(sketch));
    const network = await dataset(sketch.input, 50);
    const ranges = async (bytes: number, batch: number) => {
      const found = await activationHistograms(model, ['x', 'y'], { ...network, batch }, { bytes, threads: 1, signal });
      return [...found].map(([name, histogram]) => [name, histogram.range, histogram.bestRange()]);
    };
    const one = await ranges(1, 64);
    expect(await ranges(1 << 30, 64)).toEqual(one);
    expect(await ranges(1 << 30, 7)).toEqual(one);
    await network.calibration.close();
  });

  it('end when they are told to', async () => {
    const model = prepare(await build(sketch));
    const network = await dataset(sketch.input, 50);
    const stopped = AbortSignal.abort();
    await expect(
      activationHistograms(model, ['x'], network, { bytes: 1, threads: 1, signal: stopped }),
    ).rejects.toThrow(/abort/i);
    await expect(integerNetwork(model, network, { ...context, signal: stopped })).rejects.toThrow(/abort/i);
    await network.calibration.close();
  });
});

describe('a network made of integers', () => {
  it('keeps layers float32 that cost too much, and only as many as it needs', async () => {
    // One channel is a thousand times larger than the others and goes nowhere: with its range the others are nothing.
    const weights = noise(8 * 3 * 9, 3).map((v, i) => (i < 27 ? 1000 * v : v));
    const after = noise(6 * 8, 4).map((v, i) => (i % 8 === 0 ? 0 : v));
    const sketch: Sketch = {
      input: [3, 6, 6],
      tensors: [
        floatTensor('w1', [8, 3, 3, 3], weights),
        floatTensor('w2', [6, 8, 1, 1], after),
        tensorOf('w3', [6, 6, 3, 3]),
        tensorOf('w4', [6, 6, 1, 1], 3),
        tensorOf('w5', [6, 6, 1, 1], 5),
      ],
      nodes: [
        node('Conv', ['x', 'w1'], 'a', [], 'wide'),
        node('Conv', ['a', 'w2'], 'b', [], 'reads it'),
        node('Conv', ['b', 'w3'], 'c', [], 'third'),
        node('Relu', ['c'], 'd'),
        node('Conv', ['d', 'w4'], 'e', [], 'fourth'),
        node('Conv', ['e', 'w5'], 'y', [], 'fifth'),
      ],
    };
    const model = prepare(await build(sketch));
    const network = await dataset(sketch.input, 40);
    const integers = await integerNetwork(model, network, context);
    const [before, now] = [await run(model, sketch.input), await run(integers, sketch.input)];
    const square = (f: (i: number) => number) => before.reduce((sum, _, i) => sum + f(i) ** 2, 0);
    expect(square((i) => (before[i] ?? 0) - (now[i] ?? NaN)) / square((i) => before[i] ?? 0)).toBeLessThan(0.01);
    expect(countIntegerLayers(integers).integer).toBeGreaterThanOrEqual(3);
    expect(countIntegerLayers(integers).integer).toBeLessThan(5);
    await network.calibration.close();
  });

  it('clips where a single image would make the steps of all others wide', async () => {
    const sketch: Sketch = {
      input: [64],
      tensors: [tensorOf('w', [64, 10])],
      nodes: [node('Gemm', ['x', 'w'], 'y', [], 'fc')],
    };
    const model = prepare(await build(sketch));
    const network = await dataset(sketch.input, 200, (v, i) => (i === 64 * 190 + 5 ? 60 : v));
    const integers = await integerNetwork(model, network, context);
    const scale = integers.graph.initializer.find(({ name }) => name === 'x_scale')?.rawData;
    if (scale === undefined) throw new Error('no scale');
    expect(new Float32Array(Uint8Array.from(scale).buffer)[0]).toBeLessThan(0.5 * (60 / 255));
    await network.calibration.close();
  });

  it('stays what it is where calibration gives no numbers', async () => {
    const sketch: Sketch = {
      input: [4],
      tensors: [tensorOf('w', [4, 4]), tensorOf('v', [4, 3], 4)],
      nodes: [
        node('Gemm', ['x', 'w'], 'a', [], 'one'),
        node('Log', ['a'], 'b'),
        node('Gemm', ['b', 'v'], 'y', [], 'two'),
      ],
    };
    const model = prepare(await build(sketch));
    const network = await dataset(sketch.input, 20);
    expect(countIntegerLayers(await integerNetwork(model, network, context)).integer).toBe(0);
    await network.calibration.close();
  });
});
