import { describe, expect, it } from 'vitest';
import { noise } from '../graphs.js';
import { Choice, LAYER_FORMS } from './layer-forms.js';
import { expectSame, filesOf, keras, load, loadLayers, run, tensors, tf, written } from './reference.js';

const CASES = 4;
/** TensorFlow.js itself loads no model that has it: it looks for `geluNew`. */
const NOT_LOADED = ['Activation gelu_new'];

/** Also what starts as zeros or ones gets values of its own. */
function randomize(model: keras.LayersModel, seed: number): void {
  const values = model.weights.map((weight, i) => {
    const shape = weight.shape as number[];
    const data = noise(
      shape.reduce((a, b) => a * b, 1),
      seed + i,
    ).map((v) => (/variance/.test(weight.name) ? Math.abs(v) + 0.5 : v * 0.7));
    return tf.tensor(data, shape);
  });
  model.setWeights(values);
}

describe('layers of TensorFlow.js', () => {
  it.each(Object.entries(LAYER_FORMS))('%s gives what TensorFlow.js gives', async (name, form) => {
    await tf.setBackend('cpu');
    for (let seed = 1; seed <= CASES; seed++) {
      const c = new Choice(seed);
      const shapes = form.inputs(c);
      const inputs = shapes.map((shape) => keras.input({ shape }));
      const outputs = form.build(c, inputs);
      const model = keras.model({ inputs, outputs });
      randomize(model, seed);
      const read = await load(await filesOf(model));
      const data = shapes.map((shape, i) => {
        const values = noise(2 * shape.reduce((a, b) => a * b, 1), 50 * seed + i);
        return {
          dims: [2, ...shape],
          data: form.below === undefined ? values : values.map((v) => Math.floor(((v + 1) / 2) * (form.below ?? 1))),
        };
      });
      const expected = [
        model.predict(data.map(({ dims, data: values }) => tf.tensor(values, dims))),
      ].flat() as tf.Tensor[];
      expect(read.graph.output.map(({ name }) => name)).toEqual(model.outputNames);
      expect(read.graph.input.map(({ name }) => name)).toEqual(model.inputNames);
      const found = await run(
        read,
        Object.fromEntries(
          model.inputNames.map((name, i) => [name, data[i] as { dims: number[]; data: Float32Array }]),
        ),
      );
      if (!NOT_LOADED.includes(name)) {
        const again = await loadLayers(await written(read));
        const back = [
          again.predict(data.map(({ dims, data: values }) => tf.tensor(values, dims))),
        ].flat() as tf.Tensor[];
        expectSame(tensors(back), expected, `written again, case ${String(seed)}`);
      }
      expectSame(found, expected, `case ${String(seed)}: ${read.graph.node.map(({ opType }) => opType).join(' ')}`);
    }
  });
});
