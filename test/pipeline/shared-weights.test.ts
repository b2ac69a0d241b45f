import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { DataType } from '../../src/models/ir/messages.js';
import {
  denseWeights,
  listLayers,
  loadModel,
  prepare,
  rewrite,
  Runner,
  type FloatTensor,
  type Model,
  type Tensor,
} from '../../src/models/index.js';
import { matrix } from '../../src/engines/index.js';
import type { Assignment } from '../../src/jobs/tasks.js';
import { SensitivityProbe } from '../../src/pipeline/curves/sensitivity.js';
import { SharedProbe } from '../../src/pipeline/curves/shared-sensitivity.js';
import { asInspected } from '../../src/pipeline/network/as-inspected.js';
import { OutputError } from '../../src/pipeline/network/compare/output-error.js';
import { compressLocally, type LocalResult } from '../../src/pipeline/local.js';
import { batchOf, build, noise, proto, scratch, writeProto, type Sketch } from '../models/graphs.js';
import { HEADS, UNROLLED, UNROLLED_GEMM } from '../models/shared.js';
import { LIMITS, localOptions, type Files } from './network.js';

const SAMPLES = 200;

async function filesOf(sketch: Sketch): Promise<Files> {
  const directory = scratch();
  const calibration = join(directory, 'calibration.npz');
  const values = SAMPLES * sketch.input.reduce((a, b) => a * b, 1);
  const data = noise(values, 3).map((v) => 2 * v);
  await writeNpz(calibration, { x: { dims: [SAMPLES, ...sketch.input], data } });
  return { model: writeProto(proto(sketch), directory), calibration, evaluation: calibration };
}

async function compress(sketch: Sketch, { method = {}, ...given }: Record<string, unknown> & { method?: object }) {
  const output = join(scratch(), 'out');
  const whole = { target: { parameter_ratio: 2 }, ...given, method: { max_iterations: 6, samples: 1500, ...method } };
  const result = await compressLocally({
    ...localOptions(await filesOf(sketch), output, whole),
    evaluation: null,
  });
  return { ...result, output };
}

const modelOf = ({ output }: { output: string }): Promise<Model> =>
  loadModel(join(output, 'model.onnx'), { directory: output, limits: LIMITS });

/** How many nodes read every tensor whose name begins like this. */
const readersOf = ({ graph }: Model, prefix: string): number[] =>
  graph.initializer
    .filter(({ name }) => name.startsWith(prefix))
    .map(({ name }) => graph.node.filter(({ input }) => input.includes(name)).length);

const FORMS: [string, Sketch, { nodes: string[]; ratio: number }][] = [
  ['a convolution over maps of two sizes', HEADS, { nodes: ['head_large', 'head_small'], ratio: 2 }],
  ['products of an unrolled recurrence', UNROLLED, { nodes: ['step1', 'step2', 'step3'], ratio: 3 }],
  ['fully connected layers in a row', UNROLLED_GEMM, { nodes: ['step1', 'step2', 'step3'], ratio: 2 }],
];

describe.each(FORMS)('a job on weights that several nodes share: %s', (_, sketch, { nodes, ratio }) => {
  let result: Awaited<ReturnType<typeof compress>>;

  beforeAll(async () => {
    result = await compress(sketch, { target: { parameter_ratio: ratio } });
  });

  it('reaches a ratio that cannot be reached without them', async () => {
    expect(result.verdict.passed).toBe(true);
    expect(result.metrics.parameters.ratio).toBeGreaterThanOrEqual(ratio);
    expect(result.metrics.measured_on?.data).toBe('held_out');
    // Their weights have rank 3.
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.01);
    const layers = { include: [], exclude: nodes.slice(-1) };
    const without = compress(sketch, { target: { parameter_ratio: ratio }, method: { layers } });
    await expect(without).rejects.toThrow(/cannot be reached.* excluded by/);
  });

  it('names all nodes in one row, whose numbers are those of the file', async () => {
    const rows = result.layers.filter((row) => row.nodes !== undefined);
    expect(rows).toHaveLength(1);
    const [row] = rows;
    expect(row).toMatchObject({ name: nodes[0], nodes, decision: 'compressed' });
    expect(result.layers.some(({ name }) => nodes.slice(1).includes(name))).toBe(false);
    const after = result.layers.reduce((sum, { parameters }) => sum + parameters.after, 0);
    expect(after).toBe(result.metrics.parameters.after);
    expect(result.layers.reduce((sum, { macs }) => sum + macs.after, 0)).toBe(result.metrics.macs.after);
    expect(row?.latency_ms?.before).toBeGreaterThan(0);
  });

  it('stores the factors once, read by every node', async () => {
    const readers = readersOf(await modelOf(result), `${nodes[0] ?? ''}/`);
    expect(readers.length).toBeGreaterThan(0);
    expect(new Set(readers)).toEqual(new Set([nodes.length]));
  });
});

describe('weights that several nodes share', () => {
  it.each(['int8', 'float16', 'codebook'])('are coded once, as %s', async (coding) => {
    const result = await compress(HEADS, { method: { weights: { coding }, distillation_passes: 20 } });
    expect(result.metrics.coding?.bytes.ratio).toBeGreaterThan(1);
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.05);
    const uncoded = await compress(HEADS, {});
    expect(result.metrics.parameters.after).toBe(uncoded.metrics.parameters.after);
  });

  it('are the same integers for all nodes that compute with integers', async () => {
    const weights = { coding: 'static_int8', integer_layers: 'all' };
    const result = await compress(UNROLLED_GEMM, { method: { weights } });
    expect(result.metrics.coding?.integer_layers?.integer).toBeGreaterThanOrEqual(6);
    const { graph } = await modelOf(result);
    const stored = graph.initializer.filter(({ dataType }) => dataType === DataType.INT8).map(({ name }) => name);
    const own = stored.filter((name) => name.startsWith('step1/'));
    // One more for each node would have a number behind its name.
    expect(own.every((name) => name.endsWith('_weight_int8'))).toBe(true);
    for (const name of own) expect(graph.node.filter(({ input }) => input.includes(name))).toHaveLength(3);
    expect(stored.filter((name) => name.startsWith('step2/') || name.startsWith('step3/'))).toEqual([]);
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.1);
  });

  it('may lose channels', async () => {
    const result = await compress(HEADS, { method: { components: ['sparse'] } });
    const row = result.layers.find(({ nodes }) => nodes !== undefined);
    expect(row).toMatchObject({ decision: 'compressed', rank: 0 });
    expect(readersOf(await modelOf(result), 'head_large/kept_channels')).toEqual([2]);
  });

  it('learn from all nodes in the distillation', async () => {
    const method = { components: ['sparse'], inputs: 'symmetric', distillation_passes: 6 };
    const result = await compress(HEADS, { method });
    const { distillation } = result.metrics;
    expect(distillation?.kept).toBe(true);
    expect(distillation?.relative_error_after).toBeLessThan(distillation?.relative_error_before ?? 0);
    expect(new Set(readersOf(await modelOf(result), 'head_large/'))).toEqual(new Set([2]));
  });

  it('weigh errors by their effect through all nodes', async () => {
    const result = await compress(HEADS, { method: { error_metric: 'outputs' } });
    expect(result.verdict.passed).toBe(true);
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.05);
  });

  it.each(['tfjs_graph', 'tfjs_layers'])('run in TensorFlow.js, written as %s', async (format) => {
    const result: LocalResult = await compress(HEADS, { output: { format } });
    expect(result.metrics.tensorflowjs?.fidelity.relative_error).toBeLessThan(0.01);
  });
});

describe('the effect of shared weights on the outputs', () => {
  it('is for one node the same as that of a layer by itself', async () => {
    const model = prepare(await build(HEADS));
    const given = batchOf(HEADS.input, 8);
    const { layers } = await listLayers(model, batchOf(HEADS.input, 2), { threads: 1 });
    const [stem] = layers;
    if (stem === undefined) throw new Error('no layer');
    const runner = await Runner.open(model, { threads: 1, capture: [stem.output] });
    const values = new Map<string, Tensor>([['x', given], ...(await runner.run(given))]);
    await runner.release();
    const read = async (name: string): Promise<Tensor> =>
      values.get(name) ?? Promise.reject(new RangeError(`${name} is not there`));
    const network = { prepared: model, outputs: ['y'], parts: new Map(), threads: 1 };
    const up = matrix(stem.m, 4, noise(stem.m * 4, 17));
    const basis = { mean: Float64Array.from({ length: stem.m }, (_, i) => i / stem.m), down: up, up };
    const probes = [2, 4].map((rank) => ({ rank, layerError: 0.1 }));
    const options = { basis, probes, variants: [], before: new Set<string>(), read };
    const { signal } = new AbortController();
    const alone = await SensitivityProbe.open(network, stem, options);
    await alone.add(values.get(stem.output) as FloatTensor, 0, signal);
    const shared = await SharedProbe.open(network, { ...stem, uses: [stem] }, options);
    await shared.add(0, signal);
    expect(shared.points().map(({ outputError }) => outputError.toPrecision(4))).toEqual(
      alone.points().map(({ outputError }) => outputError.toPrecision(4)),
    );
    expect(shared.points()[0]?.outputError).toBeGreaterThan(0.001);
    await alone.release();
    await shared.release();
  });

  it('is that of all nodes at once', async () => {
    const model = prepare(await build(UNROLLED_GEMM));
    const given = batchOf(UNROLLED_GEMM.input, 8);
    const { layers } = await listLayers(model, batchOf(UNROLLED_GEMM.input, 2), { threads: 1 });
    const [step] = layers;
    if (step === undefined) throw new Error('no layer');
    const { weights, bias } = denseWeights(model, step);
    const size = step.m;
    // A projector on the first half of the responses: the same as weights without the other rows.
    const half = matrix(size, size / 2);
    for (let i = 0; i < size / 2; i++) half.data[(i * size) / 2 + i] = 1;
    const kept = (values: Float32Array, width: number) => values.map((v, i) => (i < (size / 2) * width ? v : 0));
    const changed = rewrite(model, new Map([[step.name, { weights: kept(weights, size), bias: kept(bias, 1) }]]));
    const outputOf = async (network: Model): Promise<Tensor> => {
      const runner = await Runner.open(network, { threads: 1 });
      const value = (await runner.run(given)).get('y');
      await runner.release();
      return value ?? Promise.reject(new RangeError('no output'));
    };
    const original = await outputOf(model);
    const wanted = new OutputError();
    wanted.add('y', original, await outputOf(changed));
    const read = (name: string): Promise<Tensor> => Promise.resolve(name === 'y' ? original : given);
    const network = { prepared: model, outputs: ['y'], parts: new Map(), threads: 1 };
    const basis = { mean: new Float64Array(size), down: half, up: half };
    const variants = [{ rank: 1, layerError: 0.1, model: changed }];
    const probe = await SharedProbe.open(network, step, {
      ...{ basis, variants, before: new Set<string>(), read },
      probes: [{ rank: size / 2, layerError: 0.1 }],
    });
    await probe.add(0, new AbortController().signal);
    for (const { outputError } of probe.points()) expect(outputError).toBeCloseTo(wanted.relative, 4);
    expect(wanted.relative).toBeGreaterThan(0.01);
    await probe.release();
  });
});

describe('a job that an earlier version has inspected', () => {
  it('goes on with the numbers of its layers; what was told to stay dense does', async () => {
    const model = prepare(await build(HEADS));
    const listed = await listLayers(model, batchOf(HEADS.input, 2), { threads: 1 });
    const row = (name: string, index: number, reason: string | null) => ({ name, index, reason });
    const rows = [
      row('stem', 0, null),
      row('head_large', 1, 'the weights are shared with head_small'),
      row('head_small', 2, 'the weights are shared with head_large'),
      row('last', 3, null),
    ];
    const finished = [{ kind: 'inspect', result: { layers: rows } }] as unknown as Assignment['finished'];
    const { layers } = asInspected(listed, { finished });
    expect(layers.map(({ name }) => name)).toEqual(rows.map(({ name }) => name));
    expect(layers[2]?.blocked).toBe('the weights are shared with head_large');
    expect(asInspected(listed, { finished: [] }).layers).toBe(listed.layers);
  });
});
