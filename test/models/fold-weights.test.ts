import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { foldWeights, listLayers, loadModel, prepare, Runner, type Model } from '../../src/models/index.js';
import { makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { DataType, type NodeProto, type TensorProto } from '../../src/models/ir/messages.js';
import { floatTensor, int64Tensor } from '../../src/models/ir/tensors.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { localOptions } from '../pipeline/network.js';
import { batchOf, build, LIMITS, node, noise, proto, scratch, tensorOf, writeProto, type Sketch } from './graphs.js';

const INPUT = [4, 8, 8];
const pads = makeInts('pads', [1, 1, 1, 1]);
const options = { threads: 1 };

/** Weight normalization: a size for every output, and a direction. */
const normalized = (name: string, axes: number[]): NodeProto[] => [
  node('ReduceL2', [`${name}v`], `${name}l`, [makeInts('axes', axes), makeInt('keepdims', 1)]),
  node('Div', [`${name}v`, `${name}l`], `${name}d`),
  node('Mul', [`${name}d`, `${name}g`], `${name}s`),
  // Two factors, so that nothing takes it for a scale.
  node('Mul', [`${name}s`, `${name}l`], name),
];
const direction = (name: string, dims: number[]): TensorProto[] => [
  tensorOf(`${name}v`, dims, name.length + 3),
  floatTensor(
    `${name}g`,
    dims.map((d, i) => (i === 0 ? d : 1)),
    noise(dims[0] ?? 1, 5).map((v) => 1 + v / 4),
  ),
];

const NETWORK: Sketch = {
  input: INPUT,
  tensors: [...direction('wa', [32, 4, 3, 3]), ...direction('wb', [32, 32, 3, 3])],
  nodes: [
    ...normalized('wa', [1, 2, 3]),
    node('Conv', ['x', 'wa'], 'c0', [pads], 'first'),
    node('Relu', ['c0'], 'r0'),
    ...normalized('wb', [1, 2, 3]),
    node('Conv', ['r0', 'wb'], 'y', [pads], 'second'),
  ],
};

describe('weights that are worked out of constants', () => {
  it.each<[string, Sketch, number]>([
    ['a direction and a size', NETWORK, 32 * 4 * 9 + 32 * 32 * 9],
    [
      'parts',
      {
        input: INPUT,
        tensors: [
          tensorOf('p', [6, 4, 3, 3], 1),
          tensorOf('q', [2, 4, 3, 3], 2),
          int64Tensor('two', [1], [2]),
          int64Tensor('zero', [1], [0]),
        ],
        nodes: [
          node('Slice', ['p', 'two', 'six', 'zero'], 's'),
          node('Slice', ['p', 'zero', 'two', 'zero'], 'f'),
          node('Concat', ['s', 'f', 'q'], 'w', [makeInt('axis', 0)]),
          node('Conv', ['x', 'w'], 'y', [pads], 'conv'),
        ],
      },
      8 * 4 * 9,
    ],
    [
      'gates of a recurrent layer in another order',
      {
        input: [4, 12],
        tensors: [
          tensorOf('wi', [24, 12], 1),
          tensorOf('wh', [24, 8], 2),
          ...[0, 8, 16, 24].map((at) => int64Tensor(`at${String(at)}`, [1], [at])),
        ],
        nodes: ['i', 'h']
          .flatMap((which) => [
            node('Slice', [`w${which}`, 'at8', 'at16', 'at0'], `${which}1`),
            node('Slice', [`w${which}`, 'at0', 'at8', 'at0'], `${which}2`),
            node('Slice', [`w${which}`, 'at16', 'at24', 'at0'], `${which}3`),
            node('Concat', [`${which}1`, `${which}2`, `${which}3`], `${which}c`, [makeInt('axis', 0)]),
            node('Unsqueeze', [`${which}c`, 'at0'], `g${which}`),
          ])
          .concat([node('GRU', ['x', 'gi', 'gh'], 'y', [makeInt('hidden_size', 8)], 'gru')]),
      },
      24 * 12 + 24 * 8,
    ],
  ])('are those of the layer: %s', async (_, sketch, parameters) => {
    const six = int64Tensor('six', [1], [6]);
    const model = await build({ ...sketch, tensors: [...sketch.tensors, six] });
    const samples = batchOf(sketch.input, 2);
    const run = async (which: Model) => {
      const runner = await Runner.open(which, options);
      const values = await runner.run(samples);
      await runner.release();
      return [...(values.get('y')?.data ?? [])].map(Number);
    };
    const folded = prepare(await foldWeights(model, options));
    const list = await listLayers(folded, samples, options);
    expect(list.parameters).toBe(parameters);
    expect(list.layers.every(({ parameters: own, macs }) => own > 0 && macs > 0)).toBe(true);
    const [before, after] = [await run(model), await run(folded)];
    expect(Math.max(...before.map((v, i) => Math.abs(v - (after[i] ?? NaN))))).toBeLessThan(1e-5);
    expect(folded.graph.node.map(({ opType }) => opType)).not.toContain('Slice');
  });

  it('leaves what is blown up, coded or random', async () => {
    const blown = await build({
      input: INPUT,
      tensors: [tensorOf('one', [1, 1, 3, 3], 1), int64Tensor('shape', [4], [8, 4, 3, 3])],
      nodes: [node('Expand', ['one', 'shape'], 'w'), node('Conv', ['x', 'w'], 'y', [pads], 'conv')],
    });
    const coded = await build({
      input: INPUT,
      tensors: [
        {
          name: 'q',
          dims: [8, 4, 3, 3],
          dataType: DataType.INT8,
          rawData: Uint8Array.from({ length: 288 }, (_, i) => i % 100),
        },
        floatTensor('scale', [], Float32Array.of(0.1)),
        floatTensor('shift', [], Float32Array.of(0.2)),
      ],
      nodes: [
        node('Cast', ['q'], 'f', [makeInt('to', DataType.FLOAT)]),
        node('Mul', ['f', 'scale'], 'm'),
        node('Add', ['m', 'shift'], 'w'),
        node('Conv', ['x', 'w'], 'y', [pads], 'conv'),
      ],
    });
    const random = await build({
      input: INPUT,
      tensors: [],
      nodes: [
        node('RandomNormal', [], 'w', [makeInts('shape', [8, 4, 3, 3])]),
        node('Conv', ['x', 'w'], 'y', [pads], 'conv'),
      ],
    });
    for (const model of [blown, coded, random]) expect(await foldWeights(model, options)).toBe(model);
  });

  it('takes no longer for a long chain of constants than for another model', async () => {
    const length = 20_000;
    const links = Array.from({ length }, (_, i) =>
      node('Add', [i === 0 ? 'w' : `k${String(i)}`, 'one'], `k${String(i + 1)}`),
    );
    const many = Array.from({ length: 500 }, (_, i) => node('MatMul', ['x', `k${String(length)}`], `m${String(i)}`));
    const sketch: Sketch = {
      input: [8],
      tensors: [tensorOf('w', [8, 8]), floatTensor('one', [], Float32Array.of(1))],
      nodes: [
        ...links,
        ...many,
        node(
          'Sum',
          many.flatMap(({ output }) => output),
          'y',
        ),
      ],
    };
    const directory = scratch();
    const limits = { ...LIMITS, maxGraphNodes: 2 * length };
    const model = await loadModel(writeProto(proto(sketch), directory), { directory, limits });
    const begun = performance.now();
    expect(await foldWeights(model, options)).toBe(model);
    expect(performance.now() - begun).toBeLessThan(3000);
  });

  it('are compressed', async () => {
    const output = scratch();
    const calibration = join(scratch(), 'x.npz');
    await writeNpz(calibration, { x: batchOf(INPUT, 64, 9) });
    const files = { model: writeProto(proto(NETWORK)), calibration, evaluation: calibration };
    const result = await compressLocally(
      localOptions(files, output, { method: { distillation_passes: 0 }, target: { parameter_ratio: 1.3 } }),
    );
    expect(result.metrics.parameters.before).toBe(32 * 4 * 9 + 32 * 32 * 9);
    expect(result.metrics.parameters.ratio).toBeGreaterThanOrEqual(1.3);
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.5);
  });
});
