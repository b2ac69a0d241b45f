import { createWriteStream, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import * as converter from '@tensorflow/tfjs-converter';
import * as keras from '@tensorflow/tfjs-layers';
import { expect } from 'vitest';
import { ZipFile } from 'yazl';
import { Archive } from '../../../src/datasets/archive.js';
import { Runner, loadModel, prepare, saveModel, type Model, type Tensor } from '../../../src/models/index.js';
import { LIMITS, scratch } from '../graphs.js';

export { keras, tf };

/** The files of a model by name. */
export type Files = Record<string, Buffer>;

export interface ModelJson {
  format?: string;
  modelTopology: object;
  weightsManifest: {
    paths: string[];
    weights: { name: string; shape: number[]; dtype: string; quantization?: object }[];
  }[];
  signature?: object;
  userDefinedMetadata?: object;
}

export async function zip(files: Files, path = join(scratch(), 'model.zip')): Promise<string> {
  const archive = new ZipFile();
  for (const [name, bytes] of Object.entries(files)) archive.addBuffer(bytes, name);
  archive.end();
  await pipeline(archive.outputStream, createWriteStream(path));
  return path;
}

export const load = async (files: Files): Promise<Model> =>
  loadModel(await zip(files), { directory: scratch(), limits: { ...LIMITS, maxGraphNodes: 5000 } });

/** As a model comes from TensorFlow.js itself. */
export function artifacts(
  files: Files,
  name = Object.keys(files).find((key) => key.endsWith('.json')) ?? '',
): tf.io.ModelArtifacts {
  const json = JSON.parse((files[name] ?? Buffer.alloc(0)).toString('utf8')) as ModelJson & tf.io.ModelArtifacts;
  const paths = json.weightsManifest.flatMap((group) => group.paths);
  const weightData = Uint8Array.from(Buffer.concat(paths.map((path) => files[path] ?? Buffer.alloc(0)))).buffer;
  return {
    ...json,
    weightSpecs: json.weightsManifest.flatMap((group) => group.weights) as tf.io.WeightsManifestEntry[],
    weightData,
  };
}

export const loadLayers = (files: Files): Promise<keras.LayersModel> =>
  keras.loadLayersModel(tf.io.fromMemory(artifacts(files)));

export const loadGraph = (files: Files): Promise<converter.GraphModel> =>
  converter.loadGraphModel(tf.io.fromMemory(artifacts(files)));

/** What `model` gives by ONNX Runtime, in the order of its outputs. */
export async function run(model: Model, inputs: Record<string, Tensor>): Promise<Tensor[]> {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    const results = await runner.feed(new Map(Object.entries(inputs)));
    return model.graph.output.map(({ name }) => {
      const found = results.get(name);
      if (found === undefined) throw new Error(`no output ${name}`);
      return found;
    });
  } finally {
    await runner.release();
  }
}

/** Largest difference, in parts of the range of what is expected. */
export function difference(found: Tensor, expected: { dims: number[]; data: ArrayLike<number> }): number {
  if (String(found.dims) !== String(expected.dims)) return Infinity;
  const values = Array.from(found.data, Number);
  let [low, high, most] = [Infinity, -Infinity, 0];
  values.forEach((value, i) => {
    const wanted = expected.data[i] ?? Number.NaN;
    low = Math.min(low, wanted);
    high = Math.max(high, wanted);
    most = Math.max(most, Number.isNaN(value - wanted) ? Infinity : Math.abs(value - wanted));
  });
  return values.length === 0 ? 0 : most / Math.max(high - low, Math.abs(high), 1e-6);
}

export const plain = (tensor: tf.Tensor): { dims: number[]; data: ArrayLike<number> } => ({
  dims: tensor.shape,
  data: tensor.dataSync(),
});

/** Every output within 1e-4 of its range of what TensorFlow.js gives, in number and order as well. */
export function expectSame(found: Tensor[], expected: tf.Tensor[], what: string): void {
  expect(found).toHaveLength(expected.length);
  for (const [i, tensor] of expected.entries())
    expect(difference(found[i] as Tensor, plain(tensor)), what).toBeLessThan(1e-4);
}

/** The same of what TensorFlow.js itself gives, of a model that was written. */
export const tensors = (found: tf.Tensor[]): Tensor[] =>
  found.map((tensor) => ({ dims: tensor.shape, data: tensor.dataSync() as Float32Array }));

/** The files of a layers-model, as `model.save` makes them. */
export async function filesOf(model: keras.LayersModel): Promise<Files> {
  let saved: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler((given) => {
      saved = given;
      return Promise.resolve({ modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' as const } });
    }),
  );
  const { modelTopology, weightSpecs, weightData } = saved ?? {};
  const json = {
    format: 'layers-model',
    modelTopology,
    weightsManifest: [{ paths: ['group1-shard1of1.bin'], weights: weightSpecs }],
  };
  return {
    'model.json': Buffer.from(JSON.stringify(json)),
    'group1-shard1of1.bin': Buffer.from(weightData as ArrayBuffer),
  };
}

/** The files in a zip that was written. */
export async function unzip(path: string): Promise<Files> {
  const archive = await Archive.open(path, { ...LIMITS, maxBytes: 2 ** 28 });
  const directory = join(scratch(), 'files');
  mkdirSync(directory);
  await archive.extractAll([...archive.entries.keys()], directory);
  archive.close();
  return Object.fromEntries(readdirSync(directory).map((name) => [name, readFileSync(join(directory, name))]));
}

/** What is written of a model once it is prepared, as its clients get it. */
export async function written(model: Model): Promise<Files> {
  const path = join(scratch(), 'out.zip');
  await saveModel(prepare(model), path);
  return unzip(path);
}
