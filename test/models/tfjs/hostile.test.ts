import { describe, expect, it } from 'vitest';
import { InputError } from '../../../src/errors/index.js';
import { loadModel } from '../../../src/models/index.js';
import { LIMITS, scratch } from '../graphs.js';
import { GraphSketch } from './graphs.js';
import { filesOf, keras, load, tf, zip, type Files } from './reference.js';

type Json = Record<string, never> & { [key: string]: Json };

/** A model.json changed as a hostile client would. */
const changed = (files: Files, change: (json: Json) => void): Files => {
  const json = JSON.parse((files['model.json'] ?? Buffer.alloc(0)).toString('utf8')) as Json;
  change(json);
  return { ...files, 'model.json': Buffer.from(JSON.stringify(json)) };
};

const graph = (): Files => {
  const g = new GraphSketch([4]);
  const kernel = g.constant({ shape: [4, 3], dtype: 'float32', values: Array.from({ length: 12 }, (_, i) => i / 10) });
  g.node('y', 'Relu', [g.node('m', 'MatMul', ['x', kernel])]);
  return g.files(['y']);
};

const dense = async (): Promise<Files> => {
  await tf.setBackend('cpu');
  return filesOf(
    keras.sequential({
      layers: [keras.layers.dense({ inputShape: [4], units: 3, name: 'first' }), keras.layers.reLU({ name: 'last' })],
    }),
  );
};

const manifest = (json: Json) => (json['weightsManifest'] as unknown as Json[])[0] as Json;
const weight = (json: Json) =>
  (manifest(json)['weights'] as unknown as Record<string, unknown>[])[0] as Record<string, unknown>;
const nodes = (json: Json) => json['modelTopology']?.['node'] as unknown as Record<string, unknown>[];
const layerList = (json: Json) =>
  (json['modelTopology']?.['config']?.['layers'] ?? []) as unknown as {
    class_name: string;
    config: Record<string, unknown>;
  }[];

const refused = async (files: Files, pattern: RegExp, code = 'invalid_model'): Promise<void> => {
  const error: unknown = await load(files).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(InputError);
  expect((error as InputError).message).toMatch(pattern);
  expect((error as InputError).code).toBe(code);
};

describe('hostile and broken TensorFlow.js models', () => {
  const shard = 'weights.bin';
  it.each<[string, (files: Files) => Files, RegExp, string?]>([
    ['a shard that is missing', ({ [shard]: _, ...rest }) => rest, /zip has no weights\.bin/],
    [
      'a shard that is short',
      (files) => ({ ...files, [shard]: (files[shard] ?? Buffer.alloc(0)).subarray(0, 20) }),
      /20 bytes; their weights take 48/,
    ],
    [
      'a path out of the folder',
      (files) => changed(files, (json) => Object.assign(manifest(json), { paths: ['../../etc/passwd'] })),
      /only files beside model\.json/,
    ],
    [
      'an absolute path',
      (files) => changed(files, (json) => Object.assign(manifest(json), { paths: ['/etc/passwd'] })),
      /only files beside model\.json/,
    ],
    [
      'a shape that is too large',
      (files) => changed(files, (json) => Object.assign(weight(json), { shape: [2 ** 20, 2 ** 20] })),
      /MAX_TENSOR_ELEMENTS/,
      'limit_exceeded',
    ],
    [
      'a negative size',
      (files) => changed(files, (json) => Object.assign(weight(json), { shape: [-4, -3] })),
      /needs a name and a shape/,
    ],
    [
      'an unknown dtype',
      (files) => changed(files, (json) => Object.assign(weight(json), { dtype: 'string' })),
      /float32, int32 and bool are read/,
    ],
    [
      'an unknown quantization',
      (files) =>
        changed(files, (json) => Object.assign(weight(json), { quantization: { dtype: 'uint4', scale: 1, min: 0 } })),
      /uint8, uint16 and float16 are read/,
    ],
    [
      'a quantization without a scale',
      (files) => changed(files, (json) => Object.assign(weight(json), { quantization: { dtype: 'uint8' } })),
      /without scale and min/,
    ],
    [
      'weights without a network',
      (files) => changed(files, (json) => delete json['modelTopology']),
      /without a network/,
    ],
    ['no manifest', (files) => changed(files, (json) => delete json['weightsManifest']), /no list weightsManifest/],
    [
      'a cycle',
      (files) =>
        changed(files, (json) =>
          Object.assign(nodes(json).find(({ name }) => name === 'm') ?? {}, { input: ['y', 'const_0'] }),
        ),
      /cycle/,
    ],
    [
      'a loop',
      (files) =>
        changed(files, (json) => {
          nodes(json).push({ name: 'again', op: 'NextIteration', input: ['y'] });
          Object.assign(nodes(json).find(({ name }) => name === 'm') ?? {}, { input: ['again', 'const_0'] });
        }),
      /loop \(NextIteration\), which is not read/,
    ],
    [
      'a node that is not there',
      (files) =>
        changed(files, (json) =>
          Object.assign(nodes(json).find(({ name }) => name === 'm') ?? {}, { input: ['nowhere', 'const_0'] }),
        ),
      /no node nowhere/,
    ],
    [
      'two nodes of one name',
      (files) => changed(files, (json) => nodes(json).push({ name: 'm', op: 'Relu', input: ['x'] })),
      /two nodes are named m/,
    ],
    [
      'an unknown operator',
      (files) =>
        changed(files, (json) => Object.assign(nodes(json).find(({ name }) => name === 'y') ?? {}, { op: 'FFT' })),
      /y: the operator FFT is not read: leave it out/,
    ],
    [
      'an operator called as a property of every object',
      (files) =>
        changed(files, (json) =>
          Object.assign(nodes(json).find(({ name }) => name === 'y') ?? {}, { op: 'constructor' }),
        ),
      /the operator constructor is not read/,
    ],
    [
      'an input that is not there',
      (files) =>
        changed(files, (json) => Object.assign(nodes(json).find(({ name }) => name === 'm') ?? {}, { input: ['x'] })),
      /lacks its input 1/,
    ],
    ['NaN among the weights', (files) => ({ ...files, [shard]: Buffer.alloc(48, 0xff) }), /NaN or infinity/],
  ])('%s is refused', async (_, change, pattern, code) => {
    await refused(change(graph()), pattern, code);
  });

  it.each<[string, (json: Json) => void, RegExp]>([
    [
      'an unknown layer',
      (json) => Object.assign(layerList(json)[1] ?? {}, { class_name: 'MyLayer' }),
      /last: the layer class MyLayer is not read: build the model/,
    ],
    [
      'a layer called __proto__',
      (json) => Object.assign(layerList(json)[1] ?? {}, { class_name: '__proto__' }),
      /layer class __proto__ is not read/,
    ],
    [
      'a weight that is not there',
      (json) => Object.assign(weight(json), { name: 'elsewhere/kernel' }),
      /first: the weight first\/kernel is not in the manifest/,
    ],
    [
      'no shape of the input',
      (json) => delete layerList(json)[0]?.config['batch_input_shape'],
      /give the first layer an inputShape/,
    ],
    [
      'an activation that nobody knows',
      (json) => Object.assign(layerList(json)[0]?.config ?? {}, { activation: 'toString' }),
      /activation to_string is not read/,
    ],
    [
      'a class that is no model',
      (json) => Object.assign(json['modelTopology'] ?? {}, { class_name: 'Model2' }),
      /a Sequential or functional model is read/,
    ],
  ])('layers with %s are refused', async (_, change, pattern) => {
    await refused(changed(await dense(), change), pattern);
  });

  it('models in models that multiply are stopped at the limit of nodes', async () => {
    const input = (shape: number[]) => ({
      class_name: 'InputLayer',
      name: 'in',
      config: { name: 'in', batch_input_shape: [null, ...shape] },
      inbound_nodes: [],
    });
    const twice = (inner: object, name: string) => ({
      class_name: 'Model',
      config: {
        name,
        layers: [input([4]), { ...inner, name: 'inner', inbound_nodes: [[['in', 0, 0, {}]], [['inner', 1, 0, {}]]] }],
        input_layers: [['in', 0, 0]],
        output_layers: [['inner', 2, 0]],
      },
    });
    let model: object = { class_name: 'Activation', config: { name: 'inner', activation: 'relu' } };
    const relu = {
      class_name: 'Model',
      config: {
        name: 'leaf',
        layers: [input([4]), { ...model, name: 'a', inbound_nodes: [[['in', 0, 0, {}]]] }],
        input_layers: [['in', 0, 0]],
        output_layers: [['a', 0, 0]],
      },
    };
    model = relu;
    for (let depth = 0; depth < 25; depth++) model = twice(model, `level${String(depth)}`);
    const files = { 'model.json': Buffer.from(JSON.stringify({ modelTopology: model, weightsManifest: [] })) };
    await refused(files, /MAX_GRAPH_NODES/, 'limit_exceeded');
  });

  it('keys of model.json reach no prototype', async () => {
    const files = graph();
    const text = (files['model.json'] ?? Buffer.alloc(0))
      .toString('utf8')
      .replace('{', '{"__proto__":{"polluted":true},');
    await load({ ...files, 'model.json': Buffer.from(text) });
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('reads shards of any size, folders, and files beside the model', async () => {
    const files = graph();
    const whole = files['weights.bin'] ?? Buffer.alloc(0);
    const split = changed(files, (json) => Object.assign(manifest(json), { paths: ['a.bin', 'sub/b.bin', 'c.bin'] }));
    const model = await load({
      'my model/model.json': split['model.json'] ?? Buffer.alloc(0),
      'my model/a.bin': whole.subarray(0, 7),
      'my model/sub/b.bin': whole.subarray(7, 30),
      'my model/c.bin': whole.subarray(30),
      'my model/labels.json': Buffer.from('["cat"]'),
      '__MACOSX/my model/._model.json': Buffer.from('junk'),
    });
    expect(model.graph.node.map(({ opType }) => opType)).toEqual(['Gemm', 'Relu']);
  });

  it('a model without a format field, with quantized weights, is read', async () => {
    const files = graph();
    const steps = Uint8Array.from({ length: 12 }, (_, i) => i * 20);
    const model = await load(
      changed({ ...files, 'weights.bin': Buffer.from(steps) }, (json) => {
        delete json['format'];
        Object.assign(weight(json), { quantization: { dtype: 'uint8', scale: 0.5, min: -3 } });
      }),
    );
    const [kernel] = model.graph.initializer;
    expect([...new Float32Array((kernel?.rawData ?? new Uint8Array()).slice().buffer)]).toEqual(
      [...steps].map((v) => v * 0.5 - 3),
    );
  });

  it('a file that is not the zip that it begins as is refused', async () => {
    const path = await zip(graph());
    const limits = { ...LIMITS, maxModelBytes: 10 };
    await expect(loadModel(path, { directory: scratch(), limits })).rejects.toThrow(/expands to more/);
  });
});
