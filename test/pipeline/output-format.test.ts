import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import type { InputError } from '../../src/errors/index.js';
import { inputNames, loadModel } from '../../src/models/index.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { batchOf, node, noise, proto, scratch, tensorOf } from '../models/graphs.js';
import {
  expectSame,
  filesOf,
  keras,
  loadGraph,
  loadLayers,
  run,
  tensors,
  tf,
  unzip,
  zip,
} from '../models/tfjs/reference.js';
import { LIMITS, localOptions, SIDE, writeFiles, type Files } from './network.js';

const METHOD = { samples: 200, max_iterations: 3 };
const QUICK = { method: METHOD, benchmark: { batch_sizes: [1] } };

let files: Files;
beforeAll(async () => {
  await tf.setBackend('cpu');
  files = await writeFiles(scratch());
});

const failureOf = async (given: Files, spec: Record<string, unknown>): Promise<InputError> => {
  const tasks: string[] = [];
  const options = localOptions(given, scratch(), { ...QUICK, ...spec });
  const failed = await compressLocally({ ...options, onProgress: (kind) => tasks.push(kind) }).then(
    () => null,
    (error: unknown) => error as InputError,
  );
  expect(new Set(tasks)).toEqual(new Set(['inspect']));
  if (failed === null) throw new Error('it was accepted');
  return failed;
};

async function layersModel(): Promise<Files> {
  const { layers } = keras;
  const model = keras.sequential({
    layers: [
      layers.conv2d({ inputShape: [SIDE, SIDE, 3], filters: 16, kernelSize: 3, padding: 'same', activation: 'relu' }),
      layers.conv2d({ filters: 16, kernelSize: 3, padding: 'same', activation: 'relu', name: 'inner' }),
      layers.globalAveragePooling2d({}),
      layers.dense({ units: 4, name: 'scores' }),
    ],
  });
  const directory = scratch();
  const calibration = join(directory, 'samples.npz');
  await writeNpz(calibration, { x: { dims: [64, SIDE, SIDE, 3], data: noise(64 * SIDE * SIDE * 3, 4) } });
  const path = await zip(await filesOf(model), join(directory, 'model.zip'));
  return { model: path, calibration, evaluation: calibration };
}

const read = (path: string) => loadModel(path, { directory: scratch(), limits: LIMITS });

describe('output.format', () => {
  it.each(['tfjs_graph', 'tfjs_layers'] as const)('gives an ONNX model back as %s', async (format) => {
    const output = scratch();
    const weights = { coding: 'uint8' };
    const options = { ...QUICK, method: { ...METHOD, weights }, output: { format } };
    const { artifacts, metrics } = await compressLocally(localOptions(files, output, options));
    expect(artifacts).toContain('model.zip');
    expect(metrics.coding?.coding).toBe('uint8');
    expect(metrics.coding?.bytes.ratio).toBeGreaterThan(1.5);
    const given = await unzip(join(output, 'model.zip'));
    const model = format === 'tfjs_graph' ? await loadGraph(given) : await loadLayers(given);
    const x = batchOf([3, SIDE, SIDE], 2);
    const found = [model.predict(tf.tensor(x.data, x.dims))].flat() as tf.Tensor[];
    const same = await read(join(output, 'model.zip'));
    expect(inputNames(same)).toEqual(['x']);
    expect(same.graph.output.map(({ name }) => name)).toEqual(['logits']);
    const expected = await run(same, { x });
    expectSame(
      tensors(found),
      expected.map(({ dims, data }) => tf.tensor(data as Float32Array, dims)),
      format,
    );
  });

  it('gives a layers-model back as ONNX, with its names and its layout', async () => {
    const output = scratch();
    const sent = await layersModel();
    const { artifacts } = await compressLocally(
      localOptions(sent, output, { ...QUICK, target: { parameter_ratio: 1.5 }, output: { format: 'onnx' } }),
    );
    expect(artifacts).toContain('model.onnx');
    expect(readFileSync(join(output, 'model.onnx'))[0]).toBe(8);
    const [before, after] = [await read(sent.model), await read(join(output, 'model.onnx'))];
    expect(after.format).toBe('onnx');
    expect(inputNames(after)).toEqual(inputNames(before));
    expect(after.graph.output.map(({ name }) => name)).toEqual(['scores']);
    const [name = ''] = inputNames(after);
    const [scores] = await run(after, { [name]: { dims: [2, SIDE, SIDE, 3], data: noise(2 * SIDE * SIDE * 3, 6) } });
    expect(scores?.dims).toEqual([2, 4]);
  });

  it('is refused before anything is computed where the network has no form there', async () => {
    const pad = node(
      'Resize',
      ['c', '', 'scales'],
      'r',
      [{ name: 'mode', type: 3, s: Buffer.from('cubic') }],
      'enlarged',
    );
    const model = proto({
      input: [3, SIDE, SIDE],
      tensors: [
        tensorOf('w', [16, 3, 3, 3]),
        { ...tensorOf('scales', [4]), rawData: new Uint8Array(Float32Array.of(1, 1, 2, 2).buffer) },
      ],
      nodes: [
        node('Conv', ['x', 'w'], 'c', [], 'conv'),
        pad,
        node('GlobalAveragePool', ['r'], 'p'),
        node('Flatten', ['p'], 'y'),
      ],
    });
    const given = { ...files, model: (await writeFiles(scratch(), model)).model };
    const error = await failureOf(given, { target: { parameter_ratio: 1.2 }, output: { format: 'tfjs_graph' } });
    expect(error).toMatchObject({ code: 'invalid_model' });
    expect(error.message).toContain('enlarged');
    expect(error.faults.map(({ pointer }) => pointer)).toContain('/output/format');
  });

  it.each(['int8', 'static_int8', 'codebook'])(
    'is refused with weights as %s, which the shards cannot hold',
    async (coding) => {
      const error = await failureOf(files, {
        method: { ...METHOD, weights: { coding } },
        output: { format: 'tfjs_graph' },
      });
      expect(error).toMatchObject({ code: 'invalid_spec', faults: [{ pointer: '/method/weights/coding' }] });
      expect(error.message).toMatch(/float32, float16, uint8/);
    },
  );
});
