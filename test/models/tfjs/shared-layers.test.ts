import { describe, expect, it } from 'vitest';
import { inFormat, listLayers, prepare, saveModel } from '../../../src/models/index.js';
import { noise, scratch } from '../graphs.js';
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
  unzip,
  type ModelJson,
} from './reference.js';

const { layers } = keras;
type Tensor = keras.SymbolicTensor;
const apply = (layer: { apply(x: Tensor | Tensor[]): unknown }, x: Tensor | Tensor[]): Tensor =>
  layer.apply(x) as Tensor;
const SHAPE = [6, 6, 3];

/** Two pictures through the same layers, then each through the same head. */
function twins(): keras.LayersModel {
  const inner = keras.input({ shape: SHAPE });
  let y = apply(layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same', activation: 'relu' }), inner);
  y = apply(layers.depthwiseConv2d({ kernelSize: 3, useBias: false }), y);
  y = apply(layers.batchNormalization({}), y);
  y = apply(layers.prelu({ sharedAxes: [1, 2] }), y);
  y = apply(layers.conv2dTranspose({ filters: 5, kernelSize: 2, strides: 2 }), y);
  const tower = keras.model({ inputs: inner, outputs: y, name: 'tower' });
  const head = layers.dense({ units: 2, name: 'head' });
  const average = layers.globalAveragePooling2d({});
  const inputs = ['left', 'right'].map((name) => keras.input({ shape: SHAPE, name }));
  const outputs = inputs.map((x) => apply(head, apply(average, apply(tower, x))));
  const model = keras.model({ inputs, outputs });
  model.setWeights(
    model.weights.map(({ shape, name }, i) => {
      const dims = shape as number[];
      const values = noise(
        dims.reduce((a, b) => a * b, 1),
        i + 1,
      );
      return tf.tensor(/variance/.test(name) ? values.map((v) => Math.abs(v) + 0.5) : values, dims);
    }),
  );
  return model;
}

describe('layers that are called twice', () => {
  it.each(['tfjs_layers', 'tfjs_graph'] as const)('are in the file once, as %s', async (format) => {
    await tf.setBackend('cpu');
    const model = twins();
    const read = await load(await filesOf(model));
    const x = [1, 2].map((seed) => ({ dims: [2, ...SHAPE], data: noise(2 * 108, seed) }));
    const given = x.map(({ dims, data }) => tf.tensor(data, dims));
    const expected = model.predict(given) as tf.Tensor[];
    const named = Object.fromEntries(model.inputNames.map((name, i) => [name, x[i] as (typeof x)[0]]));
    expectSame(await run(read, named), expected, 'read');
    const { layers: listed } = await listLayers(prepare(read), new Map(Object.entries(named)), { threads: 1 });
    // A depthwise layer stays what it is.
    expect(listed.map(({ uses, blocked }) => uses?.length ?? blocked)).toEqual([
      2,
      'depthwise convolution',
      2,
      'depthwise convolution',
      2,
    ]);
    const path = `${scratch()}/out.zip`;
    await saveModel(inFormat(prepare(read), format), path);
    const files = await unzip(path);
    const back = format === 'tfjs_layers' ? await loadLayers(files) : await loadGraph(files);
    expectSame(tensors(back.predict(given) as tf.Tensor[]), expected, 'written');
    const { weightsManifest } = JSON.parse(String(files['model.json'])) as ModelJson;
    const floats = weightsManifest.flatMap(({ weights }) => weights).filter(({ dtype }) => dtype === 'float32');
    const numbers = floats.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    // Both towers have the same normalization: its four numbers for each of four channels are one of the bias.
    const folded = model.countParams() - 4 * 4 + 4;
    if (format === 'tfjs_layers') expect((back as keras.LayersModel).countParams()).toBe(folded);
    expect(numbers).toBeLessThanOrEqual(model.countParams());
  });

  it('are trained as one', async () => {
    await tf.setBackend('cpu');
    const path = `${scratch()}/out.zip`;
    await saveModel(prepare(await load(await filesOf(twins()))), path);
    const back = await loadLayers(await unzip(path));
    const x = tf.tensor(noise(4 * 108, 3), [4, ...SHAPE]);
    const same = () => {
      const [left, right] = back.predict([x, x]) as [tf.Tensor, tf.Tensor];
      expect([...left.dataSync()]).toEqual([...right.dataSync()]);
      return [...left.dataSync()];
    };
    const before = same();
    back.compile({ optimizer: tf.train.sgd(0.1), loss: 'meanSquaredError' });
    const aim = tf.zeros([4, 2]);
    await back.fit([x, x], [aim, aim], { epochs: 2, verbose: 0 });
    expect(same()).not.toEqual(before);
  });
});
