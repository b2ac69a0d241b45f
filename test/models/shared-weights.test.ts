import { describe, expect, it } from 'vitest';
import { makeFloat, makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { floatTensor, tensorDims } from '../../src/models/ir/tensors.js';
import {
  DENSE,
  denseWeights,
  factoredCost,
  listLayers,
  placesOfUses,
  prepare,
  putRows,
  rewrite,
  Runner,
  samplePatches,
  usesOf,
  type Factors,
  type Layer,
  type Model,
} from '../../src/models/index.js';
import { candidateLatencies } from '../../src/pipeline/latency/candidate-latency.js';
import { batchOf, build, node, tensorOf, type Sketch } from './graphs.js';
import { HEADS, UNROLLED, UNROLLED_GEMM } from './shared.js';

const ONE_THREAD = { threads: 1 };
const FORMS: [string, Sketch][] = Object.entries({
  'convolutions of two sizes': HEADS,
  'products of an unrolled recurrence': UNROLLED,
  'fully connected layers in a row': UNROLLED_GEMM,
});

async function listed(sketch: Sketch): Promise<{ model: Model; layers: Layer[]; parameters: number; macs: number }> {
  const model = prepare(await build(sketch));
  return { model, ...(await listLayers(model, batchOf(sketch.input, 2), ONE_THREAD)) };
}

async function shared(sketch: Sketch): Promise<{ model: Model; layer: Layer }> {
  const { model, layers } = await listed(sketch);
  const layer = layers.find(({ uses }) => uses !== undefined);
  if (layer === undefined) throw new Error('no layer has several uses');
  return { model, layer };
}

async function outputs(model: Model, input: number[], capture: string[] = []): Promise<Map<string, Float32Array>> {
  const runner = await Runner.open(model, { threads: 1, capture });
  try {
    const values = await runner.run(batchOf(input));
    return new Map([...values].map(([name, { data }]) => [name, Float32Array.from(data, Number)]));
  } finally {
    await runner.release();
  }
}

/** The layer itself as its low-rank part: of full rank, the identity behind it. */
function asFactors(model: Model, layer: Layer): Factors {
  const { weights, bias } = denseWeights(model, layer);
  const p = Float32Array.from({ length: layer.m ** 2 }, (_, i) => (i % (layer.m + 1) === 0 ? 1 : 0));
  const lowRank = { shape: 'channel' as const, rank: layer.m, inner: 0, basis: null, q: weights, p };
  return { lowRank, sparse: null, bias: Float32Array.from(bias) };
}

function expectClose(actual: Float32Array | undefined, expected: Float32Array | undefined): void {
  expect(actual?.length).toBe(expected?.length);
  actual?.forEach((value, i) => expect(value).toBeCloseTo(expected?.[i] ?? Number.NaN, 4));
}

describe('weights that several nodes read', () => {
  it('of a convolution are one layer, with the places and the multiplications of both uses', async () => {
    const { layers, parameters, macs } = await listed(HEADS);
    const [, head] = layers;
    expect(layers.map(({ name }) => name)).toEqual(['stem', 'head_large', 'last']);
    expect(head?.uses?.map(({ name, positions, inputSize }) => ({ name, positions, inputSize }))).toEqual([
      { name: 'head_large', positions: 64, inputSize: [8, 8] },
      { name: 'head_small', positions: 16, inputSize: [4, 4] },
    ]);
    const weights = 24 * 16 * 9;
    expect(head).toMatchObject({
      positions: 80,
      macs: 80 * weights,
      parameters: weights + 24,
      activation: { kind: 'relu' },
      blocked: null,
    });
    expect(parameters).toBe(16 * 27 + 16 + weights + 24 + 24 * 4 + 4);
    expect(macs).toBe(64 * 16 * 27 + 80 * weights + 96);
  });

  it('of an unrolled recurrence are one layer, what each step adds beside it included', async () => {
    const { layers } = await listed(UNROLLED);
    const step = layers.find(({ name }) => name === 'step1');
    expect(step).toMatchObject({ positions: 3, macs: 3 * 32 * 32, parameters: 32 * 32 + 32, hasBias: true });
    expect(step?.activation).toEqual({ kind: 'tanh' });
    expect(step?.uses?.map(({ skip }) => skip?.other)).toEqual(['xw', 'xw', 'xw']);
  });

  it.each(FORMS)('cost in factors what the rewritten network is counted to have: %s', async (_, sketch) => {
    const { model, layers, parameters, macs } = await listed(sketch);
    const layer = layers.find(({ uses }) => uses !== undefined);
    if (layer === undefined) throw new Error('no layer has several uses');
    const rewritten = rewrite(model, new Map([[layer.name, asFactors(model, layer)]]));
    const after = await listLayers(rewritten, batchOf(sketch.input, 2), ONE_THREAD);
    const cost = factoredCost(layer, { shape: 'channel', rank: layer.m, inner: 0, groups: 0 });
    expect(after.parameters - parameters).toBe(cost.parameters - layer.parameters);
    expect(after.macs - macs).toBe(cost.macs - layer.macs);
  });

  it.each(FORMS)('are written once, and the network computes the same: %s', async (_, sketch) => {
    const { model, layer } = await shared(sketch);
    const rewritten = rewrite(model, new Map([[layer.name, asFactors(model, layer)]]));
    const made = rewritten.graph.initializer.filter(({ name }) => name.includes('low_rank'));
    expect(made).toHaveLength(3);
    for (const { name } of made)
      expect(rewritten.graph.node.filter(({ input }) => input.includes(name))).toHaveLength(layer.uses?.length ?? 0);
    const [before, after] = [await outputs(model, sketch.input), await outputs(rewritten, sketch.input)];
    expectClose(after.get('y'), before.get('y'));
  });

  it.each(FORMS)('are sampled from all uses, each at its own places: %s', async (_, sketch) => {
    const { model, layer } = await shared(sketch);
    const read = new Map<string, { dims: number[]; data: Float32Array }>();
    const runner = await Runner.open(model, {
      threads: 1,
      capture: (layer.uses ?? []).flatMap(({ input, output }) => (input === 'x' ? [output] : [input, output])),
    });
    const given = batchOf(sketch.input);
    for (const [name, { dims, data }] of await runner.run(given))
      read.set(name, { dims, data: Float32Array.from(data, Number) });
    await runner.release();
    read.set('x', given);
    const positions = Array.from({ length: layer.positions }, (_, i) => i);
    const chosen = { images: positions.map(() => 1), positions };
    const inputs = new Float32Array(positions.length * layer.d);
    const wanted = new Float32Array(positions.length * layer.m);
    for (const use of placesOfUses(layer, chosen)) {
      const from = read.get(use.layer.input);
      const to = read.get(use.layer.output);
      if (from === undefined || to === undefined) throw new Error('not captured');
      putRows(inputs, use, samplePatches(from, use.layer, use.chosen), layer.d);
      const places = use.layer.positions;
      const rows = new Float32Array(places * layer.m);
      for (let place = 0; place < places; place++)
        for (let c = 0; c < layer.m; c++) rows[place * layer.m + c] = to.data[(layer.m + c) * places + place];
      putRows(wanted, use, rows, layer.m);
    }
    const { weights, bias } = denseWeights(model, layer);
    wanted.forEach((value, at) => {
      const [row, c] = [Math.floor(at / layer.m), at % layer.m];
      let sum = bias[c];
      for (let i = 0; i < layer.d; i++) sum += weights[c * layer.d + i] * inputs[row * layer.d + i];
      expect(sum).toBeCloseTo(value, 3);
    });
  });

  it('may have biases of their own: each use keeps its own', async () => {
    const sketch: Sketch = {
      ...UNROLLED_GEMM,
      tensors: [...UNROLLED_GEMM.tensors, tensorOf('other', [32], 77)],
      nodes: UNROLLED_GEMM.nodes.map((old) =>
        old.name === 'step2' ? { ...old, input: [...old.input.slice(0, 2), 'other'] } : old,
      ),
    };
    const { model, layer } = await shared(sketch);
    expect(layer).toMatchObject({ biases: 2, parameters: 32 * 32 + 2 * 32 });
    const rewritten = rewrite(model, new Map([[layer.name, asFactors(model, layer)]]));
    expect(rewritten.graph.initializer.filter(({ name }) => name.includes('low_rank_p_bias'))).toHaveLength(2);
    const [before, after] = [await outputs(model, [32]), await outputs(rewritten, [32])];
    expectClose(after.get('y'), before.get('y'));
  });

  it('of a siamese network keep the normalization behind both branches folded into one', async () => {
    const branch = (input: string, name: string) => [
      node('Conv', [input, 'w'], `${name}c`, [], name),
      node('BatchNormalization', [`${name}c`, 'gamma', 'beta', 'mean', 'variance'], `${name}n`),
      node('Relu', [`${name}n`], `${name}r`),
    ];
    const sketch: Sketch = {
      input: [4, 5, 5],
      tensors: [
        tensorOf('w', [6, 4, 3, 3]),
        ...['gamma', 'beta', 'mean'].map((name) => tensorOf(name, [6])),
        floatTensor('variance', [6], Float32Array.of(1, 2, 0.5, 1, 3, 1)),
      ],
      nodes: [
        ...branch('x', 'left'),
        node('Neg', ['x'], 'other'),
        ...branch('other', 'right'),
        node('Sub', ['leftr', 'rightr'], 'y'),
      ],
    };
    const { model, layers, parameters } = await listed(sketch);
    expect(layers).toHaveLength(1);
    expect(layers[0]).toMatchObject({ activation: { kind: 'relu' }, blocked: null, positions: 18 });
    expect(layers[0]?.biases).toBeUndefined();
    expect(parameters).toBe(6 * 36 + 6);
    expect(model.graph.node.map(({ opType }) => opType)).not.toContain('BatchNormalization');
    const plain = await outputs(await build(sketch), [4, 5, 5]);
    expectClose((await outputs(model, [4, 5, 5])).get('y'), plain.get('y'));
  });

  it('behind an Identity for every node, as PyTorch writes them, are one layer', async () => {
    const sketch: Sketch = {
      ...UNROLLED_GEMM,
      nodes: [
        ...[2, 3].flatMap((step) => [
          node('Identity', ['u'], `u${String(step)}`),
          node('Identity', ['b'], `b${String(step)}`),
        ]),
        ...UNROLLED_GEMM.nodes.map((old) => {
          const step = /^step([23])$/.exec(old.name)?.[1];
          return step === undefined ? old : { ...old, input: [old.input[0] ?? '', `u${step}`, `b${step}`] };
        }),
      ],
    };
    const { layers, parameters } = await listed(sketch);
    expect(layers.map(({ uses, biases, blocked }) => [uses?.length, biases, blocked])).toEqual([
      [3, undefined, null],
      [undefined, undefined, null],
    ]);
    expect(parameters).toBe(32 * 33 + 33 * 6);
  });

  it.each(FORMS)('are timed with all nodes together: %s', async (_, sketch) => {
    const { model, layer } = await shared(sketch);
    const given = batchOf(sketch.input);
    const inner = usesOf(layer).flatMap(({ input }) => (input === 'x' ? [] : [input]));
    const runner = await Runner.open(model, { threads: 1, capture: inner });
    const values = new Map([['x', given], ...(await runner.run(given))]);
    await runner.release();
    const inputs = new Map(usesOf(layer).flatMap(({ input }) => [[input, values.get(input) ?? given] as const]));
    const sizes = [DENSE, { ...DENSE, rank: 4 }, { ...DENSE, rank: 8, groups: 2 }];
    const candidates = sizes.map((size) => ({ ...size, ...factoredCost(layer, size), error: 0 }));
    const { signal } = new AbortController();
    for (const integers of [false, true]) {
      const times = await candidateLatencies(model, layer, { candidates, inputs }, { threads: 1, signal, integers });
      expect(times).toHaveLength(3);
      expect(times.every((ms) => ms > 0 && Number.isFinite(ms))).toBe(true);
    }
  });

  it('that every node turns with a Transpose of its own are one tensor, and one layer', async () => {
    const sketch: Sketch = {
      input: [8],
      tensors: [tensorOf('w', [8, 8])],
      nodes: [
        node('Transpose', ['w'], 't1'),
        node('MatMul', ['x', 't1'], 'p', [], 'one'),
        node('Relu', ['p'], 'h'),
        node('Transpose', ['w'], 't2', [makeInts('perm', [1, 0])]),
        node('MatMul', ['h', 't2'], 'y', [], 'two'),
      ],
    };
    const { layers, parameters, model } = await listed(sketch);
    expect(layers.map(({ uses }) => uses?.length)).toEqual([2]);
    expect(parameters).toBe(64);
    expect(model.graph.initializer.map(tensorDims)).toEqual([[8, 8]]);
    const plain = await outputs(await build(sketch), [8]);
    expectClose((await outputs(model, [8])).get('y'), plain.get('y'));
  });
});

const APART: [string, Sketch, RegExp[]][] = [
  [
    'a convolution and a transposed one',
    {
      input: [4, 6, 6],
      tensors: [tensorOf('w', [4, 4, 3, 3])],
      nodes: [node('Conv', ['x', 'w'], 'h', [], 'down'), node('ConvTranspose', ['h', 'w'], 'y', [], 'up')],
    },
    [/shared with up \(ConvTranspose\), another kind/, /shared with down \(Conv\), another kind/],
  ],
  [
    'a product and a fully connected layer',
    {
      input: [6],
      tensors: [tensorOf('w', [6, 6])],
      nodes: [node('MatMul', ['x', 'w'], 'h', [], 'one'), node('Gemm', ['h', 'w'], 'y', [], 'two')],
    },
    [/shared with two \(Gemm\), another kind of node/, /shared with one \(MatMul\), another kind of node/],
  ],
  [
    'a product with the weights and one with their Transpose',
    {
      input: [6],
      tensors: [tensorOf('w', [6, 6])],
      nodes: [
        node('MatMul', ['x', 'w'], 'h', [], 'one'),
        node('Transpose', ['w'], 't', [makeInts('perm', [1, 0])], 'turn'),
        node('MatMul', ['h', 't'], 'y', [], 'two'),
      ],
    },
    [/shared with turn \(Transpose\)/, /shared, and turned by a Transpose/],
  ],
  [
    'an embedding and the product with its Transpose',
    {
      input: [6],
      tensors: [tensorOf('w', [6, 6]), { name: 'rows', dims: [1], dataType: 7, rawData: new Uint8Array(8) }],
      nodes: [
        node('Gather', ['w', 'rows'], 'e', [], 'embedding'),
        node('Add', ['x', 'e'], 'h'),
        node('Transpose', ['w'], 't', [makeInts('perm', [1, 0])], 'turn'),
        node('MatMul', ['h', 't'], 'y', [], 'logits'),
      ],
    },
    [/shared, and turned by a Transpose/],
  ],
  [
    'layers that scale them differently',
    {
      input: [6],
      tensors: [tensorOf('w', [6, 6])],
      nodes: [
        node('Gemm', ['x', 'w'], 'h', [makeInt('transB', 1)], 'one'),
        node('Gemm', ['h', 'w'], 'y', [makeInt('transB', 1), makeFloat('alpha', 2)], 'two'),
      ],
    },
    [/shared with two, which scales/, /shared with one, which scales/],
  ],
  [
    'a layer and a node that is none',
    {
      input: [6],
      tensors: [tensorOf('w', [6, 6])],
      nodes: [
        node('MatMul', ['x', 'w'], 'h', [], 'one'),
        node('ReduceSum', ['w'], 's', [makeInt('keepdims', 0)], 'sum'),
        node('Add', ['h', 's'], 'y'),
      ],
    },
    [/shared with sum \(ReduceSum\)/],
  ],
];

describe('weights that are read in different ways', () => {
  it.each(APART)('stay dense with the reason, and count once: %s', async (_, sketch, reasons) => {
    const { layers, parameters, model } = await listed(sketch);
    expect(layers).toHaveLength(reasons.length);
    for (const [i, reason] of reasons.entries()) expect(layers[i]?.blocked).toMatch(reason);
    expect(parameters).toBe(layers[0]?.op === 'Conv' ? 4 * 4 * 9 : 36);
    const plain = await outputs(await build(sketch), sketch.input);
    expectClose((await outputs(model, sketch.input)).get('y'), plain.get('y'));
  });
});
