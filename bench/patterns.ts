/**
 * Does structured beat unstructured in speed? Layers of a few shapes, dense and with a sparse part of every pattern
 * alone, in the form that a job writes, at one share of kept weights; all forms of a layer run in turn. `npx tsx
 * bench/patterns.ts [options]`; see --help.
 */
import { Command } from 'commander';
import { encodeModel } from '../src/models/ir/codec.js';
import { makeInts, makeNode } from '../src/models/ir/attributes.js';
import { floatTensor } from '../src/models/ir/tensors.js';
import {
  blocksOf,
  factoredCost,
  groupsTotal,
  listLayers,
  loadModel,
  prepare,
  rewrite,
  Runner,
  SPARSE_PATTERNS,
  type Layer,
  type Model,
  type SparsePattern,
  type Tensor,
} from '../src/models/index.js';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dummyFactors } from '../src/pipeline/latency/candidate-latency.js';
import { measureInTurn, quantile } from '../src/pipeline/latency/latency.js';
import { seededRandom } from '../src/pipeline/network/random.js';
import { note, printMachine, printTable } from './support/table.js';

interface Shape {
  m: number;
  channels: number;
  kernel: number;
  side: number;
  batch: number;
}

/** Of VGG-16 and ResNets on images of 32 and 224 pixels; the last is fully connected. */
const SHAPES: Shape[] = [
  { m: 64, channels: 64, kernel: 3, side: 56, batch: 1 },
  { m: 256, channels: 256, kernel: 3, side: 14, batch: 1 },
  { m: 256, channels: 256, kernel: 3, side: 14, batch: 8 },
  { m: 512, channels: 512, kernel: 3, side: 7, batch: 8 },
  { m: 256, channels: 256, kernel: 1, side: 14, batch: 8 },
  { m: 1024, channels: 1024, kernel: 0, side: 0, batch: 32 },
];
/** Times that other work on the machine disturbs least. */
const QUIET = 0.1;
const LIMITS = {
  maxArchiveEntries: 10,
  maxArchiveRatio: 100,
  maxModelBytes: 2 ** 30,
  maxGraphNodes: 100,
  maxTensorElements: 2 ** 28,
};

const options = new Command('patterns')
  .description('latency of a layer in every sparse pattern against the dense layer')
  .option('--keep <share>', 'share of the weights that is kept; n:m always keeps half', '0.25')
  .option('--threads <n>', 'threads of the runtime', '2')
  .option('--seconds <n>', 'time for the forms of one layer', '3')
  .parse()
  .opts<{ keep: string; threads: string; seconds: string }>();
const threads = Number(options.threads);
const random = seededRandom(1, 0);
const values = (count: number) => Float32Array.from({ length: count }, () => random() - 0.5);

/** A network of the one layer. */
async function network({ m, channels, kernel, side }: Shape, directory: string): Promise<Model> {
  const connected = kernel === 0;
  const dims = connected ? [m, channels] : [m, channels, kernel, kernel];
  const pad = (kernel - 1) / 2;
  const node = connected
    ? makeNode('Gemm', 'layer', ['x', 'w', 'b'], ['y'], [{ name: 'transB', type: 2, i: 1 }])
    : makeNode('Conv', 'layer', ['x', 'w', 'b'], ['y'], [makeInts('pads', [pad, pad, pad, pad])]);
  const axes = connected ? [channels] : [channels, side, side];
  const port = (name: string, shape: number[]) => {
    const dim = [{ dimParam: 'batch' }, ...shape.map((dimValue) => ({ dimValue }))];
    return { name, type: { tensorType: { elemType: 1, shape: { dim } } } };
  };
  const weights = floatTensor('w', dims, values(dims.reduce((a, b) => a * b, 1)));
  const path = join(directory, 'layer.onnx');
  const bytes = encodeModel({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'layer',
      valueInfo: [],
      node: [node],
      initializer: [weights, floatTensor('b', [m], values(m))],
      input: [port('x', axes)],
      output: [port('y', connected ? [m] : [m, side, side])],
    },
  });
  writeFileSync(path, bytes);
  return prepare(await loadModel(path, { directory, limits: LIMITS }));
}

/** The number of groups that comes nearest to the share. */
function groupsFor(layer: Layer, pattern: SparsePattern, keep: number): number {
  const total = groupsTotal(layer, pattern);
  if (pattern === 'n:m') return total;
  const step = pattern === 'block' ? blocksOf(layer).rows : 1;
  return step * Math.max(1, Math.round((keep * total) / step));
}

async function measure(shape: Shape, directory: string, keep: number): Promise<string[]> {
  const model = await network(shape, directory);
  const axes = shape.kernel === 0 ? [shape.channels] : [shape.channels, shape.side, shape.side];
  const images = (batch: number): Tensor => {
    const dims = [batch, ...axes];
    return { dims, data: values(dims.reduce((a, b) => a * b, 1)) };
  };
  const { layers } = await listLayers(model, images(2), { threads });
  const [layer] = layers;
  if (layer === undefined) throw new Error('the network has no layer');
  const forms = SPARSE_PATTERNS.map((pattern) => {
    const size = { shape: 'channel', rank: 0, inner: 0, groups: groupsFor(layer, pattern, keep), pattern } as const;
    return {
      cost: factoredCost(layer, size),
      model: rewrite(model, new Map([[layer.name, dummyFactors(layer, size)]])),
    };
  });
  const runners: Runner[] = [];
  try {
    for (const form of [{ model }, ...forms]) runners.push(await Runner.open(form.model, { threads }));
    const input = images(shape.batch);
    const budgetSeconds = Number(options.seconds);
    const runs = runners.map((runner) => () => runner.run(input));
    const [dense = [], ...times] = await measureInTurn(runs, { warmup: 2, minRuns: 9, maxRuns: 300, budgetSeconds });
    const base = quantile(dense, QUIET);
    const { m, channels, kernel, side, batch } = shape;
    const name = kernel === 0 ? `${m} x ${channels}` : `${m} x ${channels} x ${kernel} x ${kernel}, ${side} x ${side}`;
    const cells = times.map((list, i) => {
      const stored = layer.parameters / (forms[i]?.cost.parameters ?? NaN);
      return `${(base / quantile(list, QUIET)).toFixed(2)} (${stored.toFixed(1)})`;
    });
    return [name, String(batch), base.toFixed(2), ...cells];
  } finally {
    for (const runner of runners) await runner.release();
  }
}

const directory = mkdtempSync(join(tmpdir(), 'sparank-patterns-'));
try {
  printMachine();
  const keep = Number(options.keep);
  const rows: string[][] = [];
  for (const shape of SHAPES) rows.push(await measure(shape, directory, keep));
  note(`${String(threads)} threads; ${(100 * keep).toFixed(0)} % of the weights kept, n:m 50 %`);
  note(
    'speed against the dense layer (ratio of 10 % quantiles, all forms in turn), in brackets the ratio of stored parameters',
  );
  printTable(['layer', 'batch', 'dense ms', ...SPARSE_PATTERNS], rows);
} finally {
  rmSync(directory, { recursive: true });
}
