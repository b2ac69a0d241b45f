import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { loadModel } from '../../src/models/index.js';
import { makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { floatTensor, tensorDims } from '../../src/models/ir/tensors.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { LIMITS, node, noise, proto, scratch, tensorOf, writeProto, type Sketch } from '../models/graphs.js';
import { localOptions } from './network.js';

const SAMPLES = 160;
const [OUTER, INNER, NEEDED] = [16, 64, 24];

/** 1x1 weights that hardly read the channels behind the first so many. */
function reads(name: string, needed: number, seed: number) {
  const values = noise(OUTER * INNER, seed).map((v, i) => (i % INNER < needed ? v / 3 : v / 200));
  return floatTensor(name, [OUTER, INNER, 1, 1], values);
}

const pads = makeInts('pads', [1, 1, 1, 1]);

/** An inverted residual block (MobileNetV2): wide inside, a depthwise convolution in the middle. */
const block = (i: number, from: string, to: string) => ({
  nodes: [
    node('Conv', [from, `e${i}w`, `e${i}b`], `e${i}`, [], `expand${i}`),
    node('Clip', [`e${i}`, 'zero', 'six'], `f${i}`),
    node('Conv', [`f${i}`, `d${i}w`, `d${i}b`], `d${i}`, [makeInt('group', INNER), pads], `depthwise${i}`),
    node('Clip', [`d${i}`, 'zero', 'six'], `g${i}`),
    node('Conv', [`g${i}`, `p${i}w`, `p${i}b`], `p${i}`, [], `project${i}`),
    node('Add', [`p${i}`, from], to),
  ],
  tensors: [
    tensorOf(`e${i}w`, [INNER, OUTER, 1, 1], 3 * i),
    tensorOf(`e${i}b`, [INNER], 3 * i + 1),
    tensorOf(`d${i}w`, [INNER, 1, 3, 3], 3 * i + 2),
    tensorOf(`d${i}b`, [INNER], 3 * i + 3),
    reads(`p${i}w`, NEEDED, 3 * i + 4),
    tensorOf(`p${i}b`, [OUTER], 3 * i + 5),
  ],
});

const blocks = [block(1, 's', 's1'), block(2, 's1', 's2')];
const NETWORK: Sketch = {
  input: [3, 8, 8],
  tensors: [
    tensorOf('sw', [OUTER, 3, 3, 3]),
    tensorOf('sb', [OUTER]),
    floatTensor('zero', [], Float32Array.of(0)),
    floatTensor('six', [], Float32Array.of(6)),
    tensorOf('cw', [4, OUTER]),
    tensorOf('cb', [4]),
    ...blocks.flatMap(({ tensors }) => tensors),
  ],
  nodes: [
    node('Conv', ['x', 'sw', 'sb'], 's', [pads], 'stem'),
    ...blocks.flatMap(({ nodes }) => nodes),
    node('GlobalAveragePool', ['s2'], 'm'),
    node('Flatten', ['m'], 'v'),
    node('Gemm', ['v', 'cw', 'cb'], 'y', [makeInt('transB', 1)], 'classifier'),
  ],
};

async function compress({ method = {}, ...given }: Record<string, unknown> & { method?: object } = {}) {
  const directory = scratch();
  const calibration = join(directory, 'calibration.npz');
  const values = SAMPLES * NETWORK.input.reduce((a, b) => a * b, 1);
  await writeNpz(calibration, { x: { dims: [SAMPLES, ...NETWORK.input], data: noise(values, 3) } });
  const files = { model: writeProto(proto(NETWORK), directory), calibration, evaluation: calibration };
  const whole = {
    ...{ target: { parameter_ratio: 2 }, effort: 'quick', ...given },
    method: { max_iterations: 6, samples: 2000, ...method },
  };
  const output = join(directory, 'out');
  const result = await compressLocally({ ...localOptions(files, output, whole), evaluation: null });
  return { ...result, output };
}

describe('a network with depthwise convolutions', () => {
  let result: Awaited<ReturnType<typeof compress>>;
  beforeAll(async () => {
    result = await compress();
  });
  const rowOf = (name: string) => result.layers.find((row) => row.name === name);

  it('is made narrower where layers read more channels than they need', () => {
    expect(result.verdict.passed).toBe(true);
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.05);
    for (const i of [1, 2]) {
      const project = rowOf(`project${i}`);
      expect(project).toMatchObject({ decision: 'compressed', rank: 0, pattern: 'channel' });
      expect(project?.groups).toBeLessThan(INNER);
      for (const name of [`expand${i}`, `depthwise${i}`]) {
        const row = rowOf(name);
        expect(row?.reason).toMatch(/outputs that no layer reads any more are not made$/);
        expect(row?.parameters.ratio).toBeGreaterThan(1.2);
      }
    }
  });

  it('is counted in the ledger as in the file', () => {
    const sum = (what: 'parameters' | 'macs') => result.layers.reduce((all, row) => all + row[what].after, 0);
    expect(sum('parameters')).toBe(result.metrics.parameters.after);
    expect(sum('macs')).toBe(result.metrics.macs.after);
  });

  it('picks no channels from a map: fewer are made', async () => {
    const { output } = result;
    const { graph } = await loadModel(join(output, 'model.onnx'), { directory: output, limits: LIMITS });
    expect(graph.node.map(({ opType }) => opType)).not.toContain('Gather');
    const groups = graph.node.flatMap(({ attribute }) => attribute.filter(({ name }) => name === 'group'));
    expect(groups.map(({ i }) => Number(i))).toEqual([rowOf('project1')?.groups, rowOf('project2')?.groups]);
    const readers = graph.initializer.filter(({ name }) => name.startsWith('project') && name.endsWith('_weight'));
    expect(readers.map((tensor) => tensorDims(tensor)[1])).toEqual([
      rowOf('project1')?.groups,
      rowOf('project2')?.groups,
    ]);
  });

  it('takes no more than was asked', () => {
    expect(result.metrics.parameters.ratio).toBeGreaterThanOrEqual(2);
    expect(result.metrics.parameters.ratio).toBeLessThan(2.15);
  });

  it('stays as wide where the sparse part or the layer that makes a map is left out', async () => {
    const lowRank = await compress({ method: { components: ['low_rank'] } });
    expect(lowRank.layers.filter(({ rank }) => rank === 0)).toEqual([]);
    const excluded = await compress({
      target: { parameter_ratio: 1.2 },
      method: { layers: { include: [], exclude: ['expand1', 'project2'] } },
    });
    const sum = excluded.layers.reduce((all, row) => all + row.parameters.after, 0);
    expect(sum).toBe(excluded.metrics.parameters.after);
    expect(excluded.layers.find(({ name }) => name === 'project2')?.parameters.ratio).toBe(1);
  });
});

it.each(['tfjs_layers', 'tfjs_graph'])('is narrower in TensorFlow.js, too (%s)', async (format) => {
  const { metrics, layers } = await compress({ output: { format } });
  const { relative_error: known } = metrics.fidelity;
  expect(known).toBeLessThan(0.01);
  expect((metrics.tensorflowjs?.fidelity.relative_error ?? NaN) / known).toBeCloseTo(1, 1);
  expect(layers.find(({ name }) => name === 'depthwise1')?.parameters.ratio).toBeGreaterThan(1.2);
});

it('reaches a ratio of work at less loss than factors, which depthwise convolutions have none of', async () => {
  const mac = { target: { mac_ratio: 2.2 } };
  const narrower = await compress(mac);
  expect(narrower.verdict.passed).toBe(true);
  expect(narrower.metrics.macs.ratio).toBeGreaterThanOrEqual(2.2);
  const factored = await compress({ ...mac, method: { components: ['low_rank'] } });
  expect(narrower.metrics.fidelity.relative_error).toBeLessThan(factored.metrics.fidelity.relative_error);
});
