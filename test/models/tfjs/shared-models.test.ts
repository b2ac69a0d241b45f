import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import '@tensorflow/tfjs-backend-wasm';
import { beforeAll, describe, expect, it } from 'vitest';
import { noise } from '../graphs.js';
import { difference, load, loadGraph, loadLayers, plain, run, tf, written, type Files } from './reference.js';

const FOLDER = process.env['SPARANK_TFJS_MODELS'] ?? join(import.meta.dirname, '../../../../shared/models/tfjs');

const filesIn = (name: string): Files =>
  Object.fromEntries(readdirSync(join(FOLDER, name)).map((file) => [file, readFileSync(join(FOLDER, name, file))]));

const MODELS = [
  { name: 'blazeface-graph', shape: [1, 256, 256, 3], layers: false, reduced: false },
  { name: 'esrgan-slim-x2-layers', shape: [2, 24, 20, 3], layers: true, reduced: false },
  { name: 'mobilenetv2-layers-uint8', shape: [1, 224, 224, 3], layers: true, reduced: true },
  { name: 'mobilenetv2-graph-uint8', shape: [1, 224, 224, 3], layers: false, reduced: true },
];

describe.skipIf(!existsSync(FOLDER))(
  'trained models of other people (skipped where SPARANK_TFJS_MODELS is not there)',
  () => {
    beforeAll(async () => {
      expect(await tf.setBackend('wasm')).toBe(true);
    });

    it.each(MODELS)('$name gives what TensorFlow.js gives', async ({ name, shape, layers, reduced }) => {
      const files = filesIn(name);
      const model = await load(files);
      const data = noise(
        shape.reduce((a, b) => a * b, 1),
        7,
      ).map((v) => (v + 1) / 2);
      expect(model.format).toBe(layers ? 'tfjs_layers' : 'tfjs_graph');
      const reference = layers ? await loadLayers(files) : await loadGraph(files);
      const expected = [reference.predict(tf.tensor(data, shape))].flat() as tf.Tensor[];
      const input = model.graph.input[0]?.name ?? '';
      const found = await run(model, { [input]: { dims: shape, data } });
      expect(found).toHaveLength(expected.length);
      const again = layers ? await loadLayers(await written(model)) : await loadGraph(await written(model));
      // Weights that came with fewer bits go as float16, after normalizations were folded into them: each is off by up to 2^-11 of itself.
      const most = reduced ? 1e-3 : 1e-4;
      const back = [again.predict(tf.tensor(data, shape))].flat() as tf.Tensor[];
      expect(back).toHaveLength(expected.length);
      back.forEach((tensor, i) => {
        const whole = { dims: tensor.shape, data: tensor.dataSync() as Float32Array };
        expect(difference(whole, plain(expected[i] as tf.Tensor)), 'written again').toBeLessThan(most);
      });
      found.forEach((tensor, i) => {
        expect(difference(tensor, plain(expected[i] as tf.Tensor))).toBeLessThan(1e-4);
      });
    });
  },
);
