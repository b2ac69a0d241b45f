import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LayerProblem } from '../../src/compression/index.js';
import { seededRandom } from '../../src/compression/linalg/random.js';
import { readConfig } from '../../src/config/index.js';
import { openDataset } from '../../src/datasets/index.js';
import {
  denseWeights,
  inputNames,
  listLayers,
  loadModel,
  prepare,
  Runner,
  samplePatches,
} from '../../src/models/index.js';
import { stepLimits } from '../../src/worker/limits.js';
import type { JobFiles } from './files.js';

export interface NamedProblem {
  name: string;
  m: number;
  d: number;
  problem: LayerProblem;
}

const BATCH = 32;

/**
 * The solver's problems of a network: every layer that can be compressed, with patches at random places of the
 * calibration images (seeded), as many from every image.
 */
export async function layerProblems(
  { model: path, calibration }: Pick<JobFiles, 'model' | 'calibration'>,
  samples: number,
  threads: number,
): Promise<NamedProblem[]> {
  const limits = stepLimits(readConfig({}));
  const directory = await mkdtemp(join(tmpdir(), 'sparank-bench-problems-'));
  try {
    const model = prepare(await loadModel(path, { directory, limits }));
    const inputs = inputNames(model);
    const data = await openDataset(calibration, {
      directory,
      limits: { ...limits, maxSamples: limits.maxCalibrationSamples },
      inputs,
    });
    const all = (await listLayers(model, await data.batch(0, 2), { threads })).layers;
    const layers = all.filter(({ blocked, skip }) => blocked === null && skip === null);
    const capture = [...new Set(layers.map((layer) => layer.input))].filter((name) => !inputs.includes(name));
    const runner = await Runner.open(model, { threads, capture });
    const random = seededRandom(1);
    const perImage = Math.ceil(samples / data.count);
    const rows = layers.map(() => [] as Float32Array[]);
    for (let begin = 0; begin < data.count; begin += BATCH) {
      const end = Math.min(begin + BATCH, data.count);
      const images = await data.batch(begin, end);
      const values = new Map([...images, ...(await runner.run(images))]);
      const count = end - begin;
      for (const [i, layer] of layers.entries()) {
        const value = values.get(layer.input);
        if (value === undefined) throw new Error(`${layer.input} was not captured`);
        const take = Math.min(perImage, layer.positions);
        const chosen = Array.from({ length: count * take }, (_, r) => Math.floor(r / take));
        const positions = chosen.map(() => Math.floor(random() * layer.positions));
        const tensor = { dims: value.dims, data: Float32Array.from(value.data as Float32Array) };
        rows[i]?.push(samplePatches(tensor, layer, { images: chosen, positions }));
      }
    }
    await runner.release();
    await data.close();
    return layers.map((layer, i) => {
      const parts = rows[i] ?? [];
      const inputs = new Float32Array(
        Math.min(
          samples * layer.d,
          parts.reduce((sum, part) => sum + part.length, 0),
        ),
      );
      let at = 0;
      for (const part of parts) {
        inputs.set(part.subarray(0, inputs.length - at), at);
        at = Math.min(inputs.length, at + part.length);
      }
      const { weights, bias } = denseWeights(model, layer);
      const problem: LayerProblem = {
        weights,
        bias,
        inputs,
        channels: layer.channels,
        taps: layer.d / layer.channels,
        activation: layer.activation,
      };
      return { name: layer.name, m: layer.m, d: layer.d, problem };
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
