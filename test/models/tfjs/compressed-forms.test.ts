import { describe, expect, it } from 'vitest';
import {
  codeWeights,
  inFormat,
  listLayers,
  LOW_RANK_SHAPES,
  lowRankShapes,
  PATTERN,
  prepare,
  rewrite,
  saveModel,
  SPARSE_PATTERNS,
  type Factors,
  type Layer,
  type Model,
} from '../../../src/models/index.js';
import { makeInts } from '../../../src/models/ir/attributes.js';
import { batchOf, build, node, noise, scratch, tensorOf } from '../graphs.js';
import { expectSame, loadGraph, loadLayers, run, tensors, tf, unzip, type Files, type ModelJson } from './reference.js';

const INPUT = [8, 6, 6];

async function network(): Promise<{ model: Model; layers: Layer[] }> {
  const pads = [makeInts('pads', [1, 1, 1, 1])];
  const read = await build({
    input: INPUT,
    tensors: [tensorOf('w0', [16, 8, 3, 3]), tensorOf('b0', [16]), tensorOf('w1', [16, 16, 3, 3])],
    nodes: [
      node('Conv', ['x', 'w0', 'b0'], 'c0', pads, 'first'),
      node('Relu', ['c0'], 'a0'),
      node('Conv', ['a0', 'w1'], 'y', [...pads, makeInts('strides', [2, 2])], 'second'),
    ],
  });
  const model = prepare(read);
  const { layers } = await listLayers(model, batchOf(INPUT, 2), { threads: 1 });
  return { model, layers };
}

/** Both parts of a layer, at a small size. */
function factorsOf(
  layer: Layer,
  shape: Factors['lowRank'] & object extends { shape: infer S } ? S : never,
  pattern: (typeof SPARSE_PATTERNS)[number],
): Factors {
  const size = { shape, rank: 4, inner: LOW_RANK_SHAPES[shape].narrows === 'both' ? 3 : 0, groups: 2, pattern };
  const random = (length: number, seed: number) => noise(length, seed).map((v) => v * 0.4);
  const [p, q, basis] = LOW_RANK_SHAPES[shape]
    .parts(layer, size, layer.m)
    .map(({ outputs, channels, taps }, i) => random(outputs * channels * taps, i + 3))
    .reverse();
  if (p === undefined || q === undefined) throw new Error(`${shape} has one part`);
  return {
    lowRank: { shape, rank: size.rank, inner: size.inner, basis: basis ?? null, q, p },
    sparse: { pattern, ...PATTERN[pattern].even(layer, size.groups, 0.2) },
    bias: random(layer.m, 9),
  };
}

async function files(model: Model, format: 'tfjs_graph' | 'tfjs_layers'): Promise<Files> {
  const path = `${scratch()}/model.zip`;
  await saveModel(inFormat(model, format), path);
  return unzip(path);
}

/** What TensorFlow.js gives for samples as the ONNX model takes them. */
async function predict(given: Files, { dims, data }: { dims: number[]; data: Float32Array }): Promise<tf.Tensor[]> {
  const { format } = JSON.parse(String(given['model.json'])) as ModelJson;
  const model = format === 'graph-model' ? await loadGraph(given) : await loadLayers(given);
  return [model.predict(tf.tensor(data, dims))].flat() as tf.Tensor[];
}

const FORMS = lowRankShapes.flatMap((shape) => SPARSE_PATTERNS.map((pattern) => ({ shape, pattern })));

describe.each(['tfjs_graph', 'tfjs_layers'] as const)('an ONNX network written as %s', (format) => {
  it.each(FORMS)('has a form for low-rank parts $shape beside sparse parts $pattern', async ({ shape, pattern }) => {
    await tf.setBackend('cpu');
    const { model, layers } = await network();
    const factors = new Map(layers.map((layer) => [layer.name, factorsOf(layer, shape, pattern)]));
    const compressed = rewrite(model, factors);
    const x = batchOf(INPUT, 2);
    const found = await predict(await files(compressed, format), x);
    expectSame(
      tensors(found),
      (await run(compressed, { x })).map(({ dims, data }) => tf.tensor(data as Float32Array, dims)),
      '',
    );
  });

  it.each([
    { coding: 'float16', bytes: 2 },
    { coding: 'uint8', bytes: 1 },
  ] as const)('keeps weights as $coding in its shards', async ({ coding, bytes }) => {
    await tf.setBackend('cpu');
    const { model } = await network();
    const options = { energies: new Map(), random: () => Math.random };
    const coded = codeWeights(model, { coding, bits: 8 }, options);
    const given = await files(coded, format);
    const { weightsManifest } = JSON.parse(String(given['model.json'])) as ModelJson;
    const kernels = weightsManifest.flatMap(({ weights }) => weights).filter(({ shape }) => shape.length === 4);
    expect(kernels).toHaveLength(2);
    for (const kernel of kernels) expect(kernel.quantization).toMatchObject({ dtype: coding });
    const weights = 16 * 8 * 9 + 16 * 16 * 9;
    const shards = Object.entries(given).filter(([name]) => name.endsWith('.bin'));
    const size = shards.reduce((sum, [, { length }]) => sum + length, 0);
    expect(size).toBeLessThan(bytes * weights + 4 * 64);
    const x = batchOf(INPUT, 2);
    const [expected] = await run(coded, { x });
    const [found] = await predict(given, x);
    if (expected === undefined || found === undefined) throw new Error('no output');
    expectSame(tensors([found]), [tf.tensor(expected.data as Float32Array, expected.dims)], coding);
  });
});
