/** A plain user of TensorFlow.js: loads what was sent and what came back, runs both. Shares no reader or writer with the product. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import { loadLayersModel } from '@tensorflow/tfjs-layers';
import { openPromise, type Entry } from 'yauzl';
import type { NpzArray } from '../elsewhere/npz.js';
import type { Outputs } from '../elsewhere/sessions.js';
import { median } from '../support/numbers.js';

type Files = ReadonlyMap<string, Buffer>;

export interface PlainModel {
  predict(x: tf.Tensor): tf.Tensor[];
  /** Numbers in the shards. */
  weights: number;
  input: (number | null)[];
  dispose(): void;
}

export async function useWasm(): Promise<void> {
  tf.enableProdMode();
  if (!(await tf.setBackend('wasm'))) throw new Error('the wasm backend did not start');
}

export function folderFiles(folder: string, names: readonly string[]): Files {
  return new Map(names.map((name) => [name, readFileSync(join(folder, name))]));
}

export async function zipFiles(path: string): Promise<Files> {
  const zip = await openPromise(path, { lazyEntries: true, autoClose: false });
  const entries = await new Promise<Entry[]>((resolve, reject) => {
    const found: Entry[] = [];
    zip.on('entry', (entry: Entry) => {
      found.push(entry);
      zip.readEntry();
    });
    zip.once('end', () => resolve(found));
    zip.once('error', reject);
    zip.readEntry();
  });
  const files = new Map<string, Buffer>();
  for (const entry of entries) {
    const parts: Buffer[] = [];
    for await (const part of await zip.openReadStreamPromise(entry)) parts.push(part as Buffer);
    files.set(entry.fileName, Buffer.concat(parts));
  }
  zip.close();
  return files;
}

export async function openPlain(files: Files): Promise<PlainModel> {
  const name = [...files.keys()].find((key) => key.endsWith('.json')) ?? '';
  const json = JSON.parse(String(files.get(name))) as tf.io.ModelJSON;
  const paths = json.weightsManifest.flatMap((group) => group.paths);
  const whole = Buffer.concat(paths.map((path) => files.get(path) ?? Buffer.alloc(0)));
  const weightSpecs = json.weightsManifest.flatMap((group) => group.weights);
  const handler = tf.io.fromMemory({ ...json, weightSpecs, weightData: Uint8Array.from(whole).buffer });
  const graph = Array.isArray((json.modelTopology as { node?: unknown }).node);
  const model = graph ? await loadGraphModel(handler) : await loadLayersModel(handler);
  return {
    predict: (x) => [model.predict(x)].flat() as tf.Tensor[],
    weights: weightSpecs.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    input: (model.inputs[0]?.shape ?? []).map((size) => (size === null || size <= 0 ? null : size)),
    dispose: () => model.dispose(),
  };
}

/** Of all samples, one by one where the model fixes that. */
export function outputsOf(model: PlainModel, { shape, data }: NpzArray, batch = 4): Outputs {
  const [samples = 0, ...rest] = shape;
  const width = rest.reduce((a, b) => a * b, 1);
  const step = model.input[0] ?? batch;
  const outputs: { name: string; shape: number[]; data: Float32Array[] }[] = [];
  for (let begin = 0; begin + step <= samples || (begin < samples && model.input[0] == null); begin += step) {
    const count = Math.min(step, samples - begin);
    tf.tidy(() => {
      const x = tf.tensor(data.subarray(begin * width, (begin + count) * width), [count, ...rest]);
      for (const [i, y] of model.predict(x).entries()) {
        const output = (outputs[i] ??= { name: String(i), shape: [samples, ...y.shape.slice(1)], data: [] });
        output.data.push(Float32Array.from(y.dataSync()));
      }
    });
  }
  return outputs.map((output) => ({
    ...output,
    data: Float32Array.from(output.data.flatMap((part) => [...part])),
  }));
}

/** Milliseconds of both for one sample, in turn; medians. */
export function speedOf(models: readonly PlainModel[], { shape, data }: NpzArray, seconds = 6): number[] {
  const [, ...rest] = shape;
  const x = tf.tensor(
    data.subarray(
      0,
      rest.reduce((a, b) => a * b, 1),
    ),
    [1, ...rest],
  );
  const times = models.map((): number[] => []);
  const until = performance.now() + 1000 * seconds;
  for (let round = 0; round < 5 || (performance.now() < until && round < 100); round++) {
    for (const [i, model] of models.entries()) {
      const begun = performance.now();
      tf.tidy(() => model.predict(x).forEach((y) => y.dataSync()));
      if (round > 1) times[i]?.push(performance.now() - begun);
    }
  }
  x.dispose();
  return times.map(median);
}
