import { describe, expect, it } from 'vitest';
import { noise } from '../graphs.js';
import { GraphSketch } from './graphs.js';
import { Choice } from './layer-forms.js';
import { OPERATOR_FORMS } from './operator-forms.js';
import { difference, load, loadGraph, plain, run, tf } from './reference.js';

const CASES = 4;

describe('operators of TensorFlow.js', () => {
  it.each(Object.entries(OPERATOR_FORMS))('%s gives what TensorFlow.js gives', { timeout: 60_000 }, async (_, form) => {
    await tf.setBackend('cpu');
    for (let seed = 1; seed <= CASES; seed++) {
      const c = new Choice(seed);
      const shape = form.shape(c);
      const sketch = new GraphSketch(shape);
      const outputs = [form.build(sketch, c, shape)].flat();
      const files = sketch.files(outputs);
      const dims = [2, ...shape];
      const data = noise(
        dims.reduce((a, b) => a * b, 1),
        50 * seed,
      );
      const reference = await loadGraph(files);
      const expected = [reference.predict(tf.tensor(data, dims))].flat() as tf.Tensor[];
      const model = await load(files);
      expect(model.graph.output.map(({ name }) => name)).toEqual(outputs);
      const found = await run(model, { x: { dims, data } });
      found.forEach((tensor, i) => {
        expect(
          difference(tensor, plain(expected[i] as tf.Tensor)),
          `case ${String(seed)}: ${model.graph.node.map(({ opType }) => opType).join(' ')}`,
        ).toBeLessThan(1e-4);
      });
    }
  });
});
