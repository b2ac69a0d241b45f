import { describe, expect, it } from 'vitest';
import { denseWeights, prepare, rewrite, saveModel, type Factors } from '../../../src/models/index.js';
import { noise, scratch } from '../graphs.js';
import { filesOf, keras, load, loadLayers, tf, unzip } from './reference.js';

const { layers } = keras;

describe('a compressed layers-model', () => {
  it('comes back as layers, and fit lowers its loss', async () => {
    await tf.setBackend('cpu');
    const model = keras.sequential({
      layers: [
        layers.conv2d({
          inputShape: [8, 8, 3],
          filters: 8,
          kernelSize: 3,
          padding: 'same',
          name: 'conv',
          useBias: false,
        }),
        layers.batchNormalization({ name: 'bn' }),
        layers.reLU({ name: 'relu' }),
        layers.dropout({ rate: 0.1, name: 'dropout' }),
        layers.globalAveragePooling2d({ name: 'pool' }),
        layers.dense({ units: 3, activation: 'softmax', name: 'scores' }),
      ],
    });
    const read = await load(await filesOf(model));
    const prepared = prepare(read);
    const { weights, bias } = denseWeights(prepared, { name: 'conv' });
    // The first two rows of the weights, and what is kept of three channels beside them.
    const factors: Factors = {
      lowRank: {
        shape: 'channel',
        rank: 2,
        inner: 0,
        basis: null,
        q: Float32Array.from(weights.subarray(0, 54)),
        p: noise(16, 3),
      },
      sparse: { pattern: 'channel', kept: [0, 2], weights: noise(8 * 2 * 9, 4) },
      bias: Float32Array.from(bias),
    };
    const path = `${scratch()}/model.zip`;
    await saveModel(rewrite(prepared, new Map([['conv', factors]])), path);
    const compressed = await loadLayers(await unzip(path));
    const names = compressed.layers.map((layer) => layer.getClassName());
    expect(names.filter((name) => name === 'Conv2D')).toHaveLength(4);
    expect(names).toContain('Dropout');
    compressed.compile({ optimizer: tf.train.sgd(0.5), loss: 'categoricalCrossentropy' });
    const x = tf.tensor(noise(24 * 8 * 8 * 3, 5), [24, 8, 8, 3]);
    const y = tf.oneHot(
      tf.tensor1d(
        Array.from({ length: 24 }, (_, i) => i % 3),
        'int32',
      ),
      3,
    );
    const { history } = await compressed.fit(x, y, { epochs: 8, batchSize: 24, verbose: 0 });
    const losses = history['loss'] as number[];
    expect(losses.at(-1)).toBeLessThan(losses[0] ?? 0);
  });
});
