import { expect, it } from 'vitest';
import { inFormat, prepare, saveModel } from '../../../src/models/index.js';
import { noise, scratch } from '../graphs.js';
import { expectSame, filesOf, keras, load, loadGraph, loadLayers, tensors, tf, unzip } from './reference.js';

const { layers } = keras;

/** A fully connected layer over rows: the runtime has a product and a sum for it. */
const overRows = () =>
  keras.sequential({
    layers: [
      layers.conv1d({ inputShape: [12, 3], filters: 6, kernelSize: 3, activation: 'relu' }),
      layers.dense({ units: 5, activation: 'relu', biasInitializer: 'randomNormal' }),
      layers.gru({ units: 4, returnSequences: true, recurrentInitializer: 'glorotNormal' }),
      layers.dense({ units: 3, activation: 'tanh', biasInitializer: 'randomNormal' }),
    ],
  });

const written = async (model: keras.LayersModel, format: 'tfjs_layers' | 'tfjs_graph') => {
  const path = `${scratch()}/out.zip`;
  await saveModel(inFormat(prepare(await load(await filesOf(model))), format), path);
  return unzip(path);
};

it('a fully connected layer over rows comes back as one, with its bias', async () => {
  await tf.setBackend('cpu');
  const model = overRows();
  const x = tf.tensor(noise(2 * 36, 3), [2, 12, 3]);
  const back = await loadLayers(await written(model, 'tfjs_layers'));
  expectSame(tensors([back.predict(x) as tf.Tensor]), [model.predict(x) as tf.Tensor], 'layers');
  expect(back.countParams()).toBe(model.countParams());
  expect(back.layers.filter((layer) => layer.getClassName() === 'Dense')).toHaveLength(2);
});

it('the same as a graph, without the recurrent layer', async () => {
  await tf.setBackend('cpu');
  const model = keras.sequential({
    layers: [
      layers.dense({ inputShape: [12, 3], units: 5, activation: 'relu', biasInitializer: 'randomNormal' }),
      layers.dense({ units: 3, activation: 'tanh', biasInitializer: 'randomNormal' }),
    ],
  });
  const x = tf.tensor(noise(2 * 36, 3), [2, 12, 3]);
  const back = await loadGraph(await written(model, 'tfjs_graph'));
  expectSame(tensors([back.predict(x) as tf.Tensor]), [model.predict(x) as tf.Tensor], 'graph');
});
