import { describe, expect, it } from 'vitest';
import { noise } from '../graphs.js';
import { attr, GraphSketch } from './graphs.js';
import { Choice } from './layer-forms.js';
import { CHOICE_FORMS } from './choice-forms.js';
import { OPERATOR_FORMS } from './operator-forms.js';
import { expectSame, load, loadGraph, run, tensors, tf, written, type ModelJson } from './reference.js';

const CASES = 4;
/** Read, and not written: their clients ask for ONNX. */
const ONE_WAY = ['Reshape to a computed shape'];

describe('operators of TensorFlow.js', () => {
  it.each(Object.entries({ ...OPERATOR_FORMS, ...CHOICE_FORMS }))(
    '%s gives what TensorFlow.js gives',
    async (name, form) => {
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
        if (ONE_WAY.includes(name)) await expect(written(model)).rejects.toThrow(/cannot be written as TensorFlow\.js/);
        else {
          const again = await loadGraph(await written(model));
          const back = [again.predict(tf.tensor(data, dims))].flat() as tf.Tensor[];
          expectSame(tensors(back), expected, `written again, case ${String(seed)}`);
        }
        expectSame(found, expected, `case ${String(seed)}: ${model.graph.node.map(({ opType }) => opType).join(' ')}`);
      }
    },
  );

  it('reads an input of bytes, which TensorFlow.js has as 32-bit integers', async () => {
    await tf.setBackend('cpu');
    const sketch = new GraphSketch([5], 'DT_UINT8');
    sketch.node('f', 'Cast', ['x'], { SrcT: attr.type('DT_UINT8'), DstT: attr.type('DT_FLOAT') });
    sketch.node('y', 'Sqrt', ['f'], { T: attr.type('DT_FLOAT') });
    const files = sketch.files(['y'], {
      inputs: { x: { name: 'x:0', dtype: 'DT_UINT8' } },
      outputs: { y: { name: 'y:0', dtype: 'DT_FLOAT' } },
    });
    const values = [0, 1, 4, 128, 255];
    const model = await load(files);
    const found = await run(model, { x: { dims: [1, 5], data: Uint8Array.from(values) } });
    for (const sent of [files, await written(model)]) {
      const reference = await loadGraph(sent);
      const y = [reference.predict(tf.tensor(values, [1, 5], 'int32'))].flat() as tf.Tensor[];
      expectSame(found, y, 'of bytes');
    }
  });

  it('says of every output what it holds, whole numbers and choices behind an Identity too', async () => {
    await tf.setBackend('cpu');
    const sketch = new GraphSketch([5]);
    const [float, whole] = [attr.type('DT_FLOAT'), attr.type('DT_INT32')];
    sketch.node('scores', 'Sqrt', [sketch.node('a', 'Abs', ['x'], { T: float })], { T: float });
    sketch.node('place', 'Identity', [sketch.node('i', 'ArgMax', ['x', sketch.int(1)], { T: float })], { T: whole });
    const zero = sketch.constant({ shape: [], dtype: 'float32', values: [0] });
    const above = sketch.node('c', 'Greater', ['x', zero], { T: float });
    sketch.node('above', 'Identity', [above], { T: attr.type('DT_BOOL') });
    const outputs = ['scores', 'place', 'above'];
    const { 'model.json': json = Buffer.alloc(0), ...rest } = sketch.files(outputs);
    const { signature: _, ...unsigned } = JSON.parse(json.toString('utf8')) as ModelJson;
    const model = await load({ 'model.json': Buffer.from(JSON.stringify(unsigned)), ...rest });
    const files = await written(model);
    const { signature, modelTopology } = JSON.parse((files['model.json'] ?? '').toString()) as ModelJson;
    const types = { scores: 'DT_FLOAT', place: 'DT_INT32', above: 'DT_BOOL' };
    const { outputs: signed } = signature as { outputs: Record<string, { dtype: string }> };
    expect(Object.fromEntries(Object.entries(signed).map(([name, { dtype }]) => [name, dtype]))).toEqual(types);
    const { node: nodes } = modelTopology as { node: { name: string; attr: { T?: { type: string } } }[] };
    const last = nodes.filter(({ name }) => outputs.includes(name)).map(({ name, attr: { T } }) => [name, T?.type]);
    expect(Object.fromEntries(last)).toEqual(types);
    const reference = await loadGraph(files);
    const x = tf.tensor([1, -2, 3, 0, 2], [1, 5]);
    const found = [reference.execute(x, outputs)].flat();
    expect(found.map(({ dtype }) => dtype)).toEqual(['float32', 'int32', 'bool']);
  });
});
