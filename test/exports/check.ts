import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openDataset } from '../../src/datasets/index.js';
import {
  denseWeights,
  inputNames,
  listLayers,
  loadModel,
  prepare,
  rewrite,
  saveModel,
  type Factors,
  type Layer,
  type Model,
  type Replacement,
} from '../../src/models/index.js';

/**
 * Reads every model that export.py wrote, lists its layers, replaces them by equal sums of a sparse and a low-rank
 * part, writes the result, and lets Python's onnx and onnxruntime judge it (check.py).
 *
 *     npx tsx test/exports/check.ts FOLDER --python PATH/TO/python
 */

const LIMITS = {
  maxArchiveEntries: 100,
  maxArchiveRatio: 100,
  maxModelBytes: 2 ** 32,
  maxGraphNodes: 100_000,
  maxTensorElements: 2 ** 31 - 1,
};

/** The same layer as a sum: some input channels sparse, the rest as a product with a factor that is the identity. */
function equalSum(model: Model, layer: Layer): Replacement {
  const { weights, bias } = denseWeights(model, layer);
  const taps = layer.d / layer.channels;
  const kept = Array.from({ length: layer.channels }, (_, c) => c).filter((c) => c % 3 === 0);
  const sparse = new Float32Array(layer.m * kept.length * taps);
  const q = Float32Array.from(weights);
  const p = new Float32Array(layer.m ** 2);
  for (let row = 0; row < layer.m; row++) {
    p[row * layer.m + row] = 1;
    kept.forEach((c, i) => {
      const from = row * layer.d + c * taps;
      sparse.set(weights.subarray(from, from + taps), (row * kept.length + i) * taps);
      q.fill(0, from, from + taps);
    });
  }
  const factors: Factors = {
    lowRank: { shape: 'channel', inner: 0, basis: null, rank: layer.m, p, q },
    sparse: { pattern: 'channel', kept, weights: sparse },
    bias,
  };
  return factors;
}

async function check(folder: string, file: string, python: string): Promise<void> {
  const directory = await mkdtemp(join(folder, '.check-'));
  const started = performance.now();
  try {
    const original = await loadModel(join(folder, file), { directory, limits: LIMITS });
    const model = prepare(original);
    const images = await openDataset(join(folder, 'images.npz'), {
      directory,
      limits: { ...LIMITS, maxSamples: 1000 },
      inputs: inputNames(original),
    });
    const batch = await images.batch(0, images.count);
    await images.close();
    const { layers, parameters, macs } = await listLayers(model, batch, { threads: 0 });
    const free = layers.filter(({ blocked }) => blocked === null);
    const reasons = [...new Set(layers.map(({ blocked }) => blocked?.replace(/\d+/g, 'n')).filter((r) => r != null))];
    const activations = [...new Set(layers.map(({ activation }) => activation.kind))];
    const listed = performance.now();
    // Large layers stay as they are: their identity factor would only cost memory.
    const chosen = free.filter(({ m }) => m <= 1024);
    const changed = rewrite(model, new Map(chosen.map((layer) => [layer.name, equalSum(model, layer)])));
    const output = join(directory, `rewritten.${original.format === 'onnx' ? 'onnx' : 'zip'}`);
    await saveModel(changed, output);
    const seconds = [listed - started, performance.now() - listed].map((ms) => (ms / 1000).toFixed(1)).join(' + ');
    const verdict = execFileSync(
      python,
      [join(import.meta.dirname, 'check.py'), join(folder, file), output, join(folder, 'images.npz')],
      {
        encoding: 'utf8',
      },
    );
    console.log(
      `${file}: ${String(layers.length)} layers, ${String(free.length)} free, ${String(chosen.length)} rewritten, ` +
        `${(parameters / 1e6).toFixed(2)} M parameters, ${(macs / 1e9).toFixed(3)} G MACs, ` +
        `activations ${activations.join('/')}, blocked: ${reasons.length === 0 ? 'none' : reasons.join('; ')}, ` +
        `${seconds} s, peak ${(process.resourceUsage().maxRSS / 2 ** 20).toFixed(2)} GiB: ${verdict.trim()}`,
    );
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { python: { type: 'string', default: 'python3' }, only: { type: 'string', default: '' } },
});
const [folder] = positionals;
if (folder === undefined) throw new Error('usage: check.ts FOLDER --python PATH');
const files = (await readdir(folder)).filter((name) => /\.(onnx|zip)$/.test(name) && name.includes(values.only)).sort();
if (files.length === 0) throw new Error(`no models in ${folder}: run export.py first`);
for (const file of files) await check(folder, file, values.python);
