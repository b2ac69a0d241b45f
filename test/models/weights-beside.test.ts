import { describe, expect, it } from 'vitest';
import { codeWeights, listLayers, prepare, rewrite, type Model } from '../../src/models/index.js';
import { makeInt, makeInts, makeNode, makeString } from '../../src/models/ir/attributes.js';
import { AttributeType, DataType, type GraphProto, type NodeProto } from '../../src/models/ir/messages.js';
import { floatTensor, int64Tensor } from '../../src/models/ir/tensors.js';
import { batchOf, build, node, noise, tensorOf, type Sketch } from './graphs.js';

const INPUT = [4, 6, 6];
const pads = makeInts('pads', [1, 1, 1, 1]);
const LAYER = 4 * 4 * 9;

const counted = async (model: Model) => listLayers(model, batchOf(INPUT, 2), { threads: 1 });
const countOf = async (sketch: Sketch) => counted(prepare(await build(sketch)));

/** Behind one layer of 144 weights. */
const behind = (nodes: NodeProto[], tensors: Sketch['tensors']): Sketch => ({
  input: INPUT,
  tensors: [tensorOf('w', [4, 4, 3, 3]), ...tensors],
  nodes: [node('Conv', ['x', 'w'], 'c', [pads], 'conv'), ...nodes],
});

const body = (name: string, nodes: NodeProto[], initializer: GraphProto['initializer'] = []): GraphProto => ({
  ...{ name, node: nodes, initializer, input: [], valueInfo: [] },
  output: [{ name: nodes.at(-1)?.output[0] ?? '' }],
});

const branches = (then: GraphProto, otherwise: GraphProto): NodeProto =>
  makeNode(
    'If',
    'if',
    ['yes'],
    ['y'],
    [
      { name: 'then_branch', type: AttributeType.GRAPH, g: then },
      { name: 'else_branch', type: AttributeType.GRAPH, g: otherwise },
    ],
  );
const yes = { name: 'yes', dims: [], dataType: DataType.BOOL, rawData: Uint8Array.of(1) };
const constant = (name: string, dims: number[]): NodeProto =>
  makeNode(
    'Constant',
    '',
    [],
    [name],
    [{ name: 'value', type: AttributeType.TENSOR, t: floatTensor('', dims, noise(dims.reduce((a, b) => a * b, 1))) }],
  );

const CASES: [string, Sketch, number][] = [
  [
    'no factors by which a picture is enlarged',
    behind(
      [node('Resize', ['c', '', 'scales'], 'y', [makeString('mode', 'nearest')])],
      [floatTensor('scales', [4], Float32Array.of(1, 1, 2, 2))],
    ),
    0,
  ],
  [
    'initializers and constants of subgraphs, and what these read of the graph around them',
    behind(
      [
        branches(
          body('t', [node('Conv', ['c', 'wt'], 'yt', [pads])], [tensorOf('wt', [4, 4, 3, 3], 7)]),
          body('e', [constant('we', [4, 4, 1, 1]), node('Conv', ['c', 'we'], 'm'), node('Mul', ['m', 'shared'], 'ye')]),
        ),
      ],
      [yes, tensorOf('shared', [1, 4, 1, 1])],
    ),
    LAYER + 16 + 4,
  ],
  [
    'convolutions in the body of a Loop, once however often it is gone through',
    behind(
      [
        makeNode(
          'Loop',
          'loop',
          ['trips', 'yes', 'c'],
          ['y'],
          [
            {
              name: 'body',
              type: AttributeType.GRAPH,
              g: {
                ...{ name: 'b', initializer: [tensorOf('wl', [4, 4, 3, 3], 9)], valueInfo: [] },
                node: [node('Identity', ['go'], 'on'), node('Conv', ['h', 'wl'], 'next', [pads])],
                input: [
                  { name: 'i', type: { tensorType: { elemType: DataType.INT64, shape: { dim: [] } } } },
                  { name: 'go', type: { tensorType: { elemType: DataType.BOOL, shape: { dim: [] } } } },
                  { name: 'h', type: { tensorType: { elemType: DataType.FLOAT } } },
                ],
                output: [{ name: 'on' }, { name: 'next' }],
              },
            },
          ],
        ),
      ],
      [yes, int64Tensor('trips', [], [3])],
    ),
    LAYER,
  ],
  ['slopes', behind([node('PRelu', ['c', 'slope'], 'y')], [tensorOf('slope', [4, 1, 1])]), 4],
  [
    'embeddings',
    behind(
      [node('Gather', ['table', 'which'], 'g'), node('Add', ['c', 'g'], 'y')],
      [tensorOf('table', [50, 6]), int64Tensor('which', [6], [1, 5, 9, 3, 2, 7])],
    ),
    300,
  ],
  [
    'no limits, shapes and indices',
    behind(
      [
        node('Clip', ['c', 'low', 'high'], 'k'),
        node('Reshape', ['k', 'shape'], 'r'),
        node('Gather', ['r', 'which'], 'y', [makeInt('axis', 1)]),
      ],
      [
        floatTensor('low', [], Float32Array.of(0)),
        floatTensor('high', [], Float32Array.of(6)),
        int64Tensor('shape', [3], [0, 4, 36]),
        int64Tensor('which', [2], [0, 3]),
      ],
    ),
    0,
  ],
];

describe('the parameters of a network', () => {
  it.each(CASES)('count %s', async (_, sketch, beside) => {
    const { layers, parameters } = await countOf(sketch);
    expect(layers.map((layer) => layer.parameters)).toEqual([LAYER]);
    expect(parameters).toBe(LAYER + beside);
  });

  it('count fused layers, which stay dense, with their multiplications', async () => {
    const fused = { ...node('FusedConv', ['c', 'v', 'b'], 'y', [pads], 'fused'), domain: 'com.microsoft' };
    const sketch = behind([fused], [tensorOf('v', [4, 4, 3, 3], 8), tensorOf('b', [4])]);
    const model = await build(sketch);
    model.proto.opsetImport.push({ domain: 'com.microsoft', version: 1 });
    const { layers, parameters, macs } = await counted(prepare(model));
    expect(layers.map(({ name, blocked }) => [name, blocked])).toEqual([
      ['conv', null],
      ['fused', 'fused convolution (com.microsoft::FusedConv)'],
    ]);
    expect([parameters, macs]).toEqual([2 * LAYER + 4, 2 * LAYER * 36]);
  });

  it('count weights of operators that are none of ours', async () => {
    const sketch = behind([{ ...node('BiasGelu', ['c', 'b'], 'y'), domain: 'com.microsoft' }], [tensorOf('b', [6])]);
    const model = await build(sketch);
    model.proto.opsetImport.push({ domain: 'com.microsoft', version: 1 });
    expect((await counted(prepare(model))).parameters).toBe(LAYER + 6);
  });

  it('do not count what decodes coded weights', async () => {
    const model = prepare(
      await build(
        behind([node('Flatten', ['c'], 'f'), node('Gemm', ['f', 'v'], 'y', [], 'fc')], [tensorOf('v', [144, 20])]),
      ),
    );
    const all = LAYER + 144 * 20;
    for (const coding of ['float16', 'int8', 'codebook'] as const)
      for (const bits of [4, 8] as const) {
        const coded = codeWeights(model, { coding, bits }, { energies: new Map(), random: () => () => 0.5 });
        expect((await counted(coded)).parameters).toBe(all);
      }
  });

  it('are those of the parts when a layer is taken apart', async () => {
    const model = prepare(await build(behind([node('Relu', ['c'], 'y')], [])));
    const weights = noise(4 * 2 * 9);
    const factors = {
      lowRank: { shape: 'channel' as const, rank: 2, inner: 0, basis: null, q: noise(2 * 36), p: noise(8) },
      sparse: { pattern: 'channel' as const, kept: [1, 3], weights },
      bias: noise(4),
    };
    const changed = rewrite(model, new Map([['conv', factors]]));
    expect((await counted(changed)).parameters).toBe(2 * 36 + 8 + weights.length + 4);
  });
});
