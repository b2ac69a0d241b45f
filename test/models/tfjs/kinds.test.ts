import { beforeAll, describe, expect, it } from 'vitest';
import { noise } from '../graphs.js';
import { GraphSketch, attr } from './graphs.js';
import {
  expectSame,
  filesOf,
  keras,
  load,
  loadGraph,
  loadLayers,
  run,
  tensors,
  tf,
  written,
  type Files,
} from './reference.js';

/** model.json as the converters and the versions of Keras write it, of one and the same network. */

const { layers } = keras;
const SHAPE = [8, 8, 3];
const X = noise(2 * 8 * 8 * 3, 3);

interface Topology {
  config: { name: string; layers: Layer[]; input_layers: unknown; output_layers: unknown };
}
interface Layer {
  class_name: string;
  name: string;
  config: Record<string, unknown>;
  inbound_nodes: [string, number, number, object][][];
}
interface Json {
  format?: string;
  modelTopology: Topology;
  weightsManifest: {
    paths: string[];
    weights: { name: string; shape: number[]; dtype: string; quantization?: object }[];
  }[];
}

let model: keras.LayersModel;
let files: Files;
beforeAll(async () => {
  await tf.setBackend('cpu');
  const x = keras.input({ shape: SHAPE, name: 'image' });
  const conv = layers.conv2d({ filters: 8, kernelSize: 3, padding: 'same', activation: 'relu', name: 'conv' });
  const norm = layers.batchNormalization({ name: 'norm' });
  const narrow = layers.separableConv2d({ filters: 8, kernelSize: 3, padding: 'same', name: 'narrow' });
  const first = norm.apply(conv.apply(x)) as keras.SymbolicTensor;
  const sum = layers.add({ name: 'sum' }).apply([first, narrow.apply(first) as keras.SymbolicTensor]);
  const flat = layers.globalAveragePooling2d({ name: 'pool' }).apply(sum);
  const y = layers.dense({ units: 4, name: 'scores' }).apply(flat) as keras.SymbolicTensor;
  model = keras.model({ inputs: x, outputs: y, name: 'net' });
  files = await filesOf(model);
});

const jsonOf = (given: Files): Json => JSON.parse(String(given['model.json'])) as Json;
const changed = (change: (json: Json) => void): Files => {
  const json = jsonOf(files);
  change(json);
  return { ...files, 'model.json': Buffer.from(JSON.stringify(json)) };
};

/** As Keras 3 writes a layer: policies instead of types, `batch_shape`, the arguments of every call. */
function keras3({ modelTopology: { config } }: Json): void {
  const tensor = (history: unknown) => ({
    class_name: '__keras_tensor__',
    config: { shape: [null, ...SHAPE], dtype: 'float32', keras_history: history },
  });
  for (const layer of config.layers) {
    const { batch_input_shape: shape, ...rest } = layer.config;
    layer.config = {
      ...rest,
      ...(shape === undefined ? {} : { batch_shape: shape, sparse: false }),
      dtype: { module: 'keras', class_name: 'DTypePolicy', config: { name: 'float32' }, registered_name: null },
    };
    Object.assign(layer, {
      module: 'keras.layers',
      registered_name: null,
      build_config: { input_shape: [null, ...SHAPE] },
    });
    Object.assign(layer, {
      inbound_nodes: layer.inbound_nodes.map((call) => {
        const refs = call.map(([name, node, output]) => tensor([name, node, output]));
        return { args: refs.length === 1 ? refs : [refs], kwargs: {} };
      }),
    });
  }
  const only = (value: unknown) => (value as unknown[][])[0];
  config.input_layers = only(config.input_layers);
  config.output_layers = only(config.output_layers);
}

async function expectRead(given: Files): Promise<void> {
  const read = await load(given);
  const expected = [model.predict(tf.tensor(X, [2, ...SHAPE]))].flat() as tf.Tensor[];
  expect(read.graph.input.map(({ name }) => name)).toEqual(['image']);
  expectSame(await run(read, { image: { dims: [2, ...SHAPE], data: X } }), expected, 'read');
  const again = await loadLayers(await written(read));
  expectSame(tensors([again.predict(tf.tensor(X, [2, ...SHAPE]))].flat() as tf.Tensor[]), expected, 'written again');
}

describe('a layers-model', () => {
  it('without a format field is read', () => expectRead(changed((json) => delete json.format)));

  it('of Keras 3 is read', () => expectRead(changed(keras3)));

  it('of Keras 3, its weights named after the model too, is read', () =>
    expectRead(
      changed((json) => {
        keras3(json);
        for (const weight of json.weightsManifest[0]?.weights ?? []) weight.name = `net/${weight.name}`;
      }),
    ));

  it('with a group of weights for every layer, in several shards, is read', () => {
    const bytes = files['group1-shard1of1.bin'] ?? Buffer.alloc(0);
    const json = jsonOf(files);
    const weights = json.weightsManifest[0]?.weights ?? [];
    const parts: Files = {};
    let at = 0;
    json.weightsManifest = weights.map((weight, i) => {
      const length = 4 * weight.shape.reduce((a, b) => a * b, 1);
      // Shards end within numbers, as they do where they are cut at a size.
      const cut = at + Math.floor(length / 2) + 1;
      const paths = [`group${String(i)}-shard1of2`, `group${String(i)}-shard2of2`];
      parts[paths[0] ?? ''] = bytes.subarray(at, cut);
      parts[paths[1] ?? ''] = bytes.subarray(cut, at + length);
      at += length;
      return { paths, weights: [weight] };
    });
    return expectRead({ 'model.json': Buffer.from(JSON.stringify(json)), ...parts });
  });

  it('with weights of 16 bits comes back with 16 bits', async () => {
    const halves = await load(files).then((read) => read.graph.initializer.length);
    expect(halves).toBeGreaterThan(0);
    const bytes = files['group1-shard1of1.bin'] ?? Buffer.alloc(0);
    const floats = new Float32Array(Uint8Array.from(bytes).buffer);
    const steps = Uint16Array.from(floats, (v) => Math.round(((v + 2) / 4) * 65535));
    const given = changed((json) => {
      for (const weight of json.weightsManifest[0]?.weights ?? [])
        weight.quantization = { dtype: 'uint16', min: -2, scale: 4 / 65535, original_dtype: 'float32' };
    });
    given['group1-shard1of1.bin'] = Buffer.from(steps.buffer);
    const { weightsManifest } = jsonOf(await written(await load(given)));
    const dense = weightsManifest[0]?.weights.find(({ name }) => name === 'conv/kernel');
    expect(dense?.shape).toEqual([3, 3, 3, 8]);
    // Too few to matter stay as they are.
    expect(dense?.quantization).toBeUndefined();
    const wide = layers.dense({ units: 64, inputShape: [32], name: 'wide' });
    const large = await filesOf(keras.sequential({ layers: [wide] }));
    const json = jsonOf(large);
    for (const weight of json.weightsManifest[0]?.weights ?? [])
      weight.quantization = { dtype: 'float16', original_dtype: 'float32' };
    const zeros = Buffer.alloc(2 * (64 * 32 + 64), 1);
    const back = jsonOf(
      await written(await load({ 'model.json': Buffer.from(JSON.stringify(json)), 'group1-shard1of1.bin': zeros })),
    );
    const kernel = back.weightsManifest[0]?.weights.find(({ name }) => name === 'wide/kernel');
    expect(kernel?.quantization).toMatchObject({ dtype: 'float16' });
  });
});

describe('a graph-model', () => {
  const graph = (): GraphSketch => {
    const sketch = new GraphSketch([6, 6, 2]);
    const kernel = sketch.constant({ shape: [3, 3, 2, 4], dtype: 'float32', values: noise(72, 5) });
    const options = {
      strides: attr.ints(1, 1, 1, 1),
      padding: attr.s('SAME'),
      data_format: attr.s('NHWC'),
      dilations: attr.ints(1, 1, 1, 1),
    };
    sketch.node('conv', 'Conv2D', ['x', kernel], options);
    sketch.node('Identity', 'Relu', ['conv']);
    return sketch;
  };

  async function expectGraph(given: Files): Promise<void> {
    const data = noise(2 * 72, 8);
    const read = await load(given);
    const reference = await loadGraph(given);
    const expected = [reference.predict(tf.tensor(data, [2, 6, 6, 2]))].flat() as tf.Tensor[];
    expectSame(await run(read, { x: { dims: [2, 6, 6, 2], data } }), expected, 'read');
    const again = await loadGraph(await written(read));
    expect(again.inputs.map(({ name }) => name)).toEqual(reference.inputs.map(({ name }) => name));
    expectSame(tensors([again.predict(tf.tensor(data, [2, 6, 6, 2]))].flat() as tf.Tensor[]), expected, 'again');
  }

  const signature = {
    inputs: {
      images: {
        name: 'x:0',
        dtype: 'DT_FLOAT',
        tensorShape: { dim: [-1, 6, 6, 2].map((size) => ({ size: String(size) })) },
      },
    },
    outputs: { default: { name: 'Identity:0', dtype: 'DT_FLOAT' } },
  };

  it('with the signature of a module of TensorFlow Hub is read, and keeps it', async () => {
    const given = graph().files(['Identity'], signature);
    await expectGraph(given);
    const back = JSON.parse(String((await written(await load(given)))['model.json'])) as { signature: unknown };
    expect(back.signature).toEqual(signature);
  });

  it('whose placeholder has no shape takes it from the signature', async () => {
    for (const shape of [{ shape: { unknownRank: true } }, undefined]) {
      const given = graph().files(['Identity'], signature);
      const json = JSON.parse(String(given['model.json'])) as {
        modelTopology: { node: { name: string; attr: object }[] };
      };
      for (const node of json.modelTopology.node)
        if (node.name === 'x') node.attr = { dtype: { type: 'DT_FLOAT' }, ...(shape === undefined ? {} : { shape }) };
      await expectGraph({ ...given, 'model.json': Buffer.from(JSON.stringify(json)) });
    }
  });

  it('without a format field and without a signature is read', async () => {
    const given = graph().files(['Identity']);
    const { format: _, signature: __, ...json } = JSON.parse(String(given['model.json'])) as Record<string, unknown>;
    await expectGraph({ ...given, 'model.json': Buffer.from(JSON.stringify(json)) });
  });
});
