import { makeInts, makeNode } from '../../src/models/ir/attributes.js';
import {
  AttributeType,
  DataType,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from '../../src/models/ir/messages.js';
import { floatTensor } from '../../src/models/ir/tensors.js';

const DOMAIN = 'fuzz';
const opsetImport = [
  { domain: '', version: 17 },
  { domain: DOMAIN, version: 1 },
];

const call = (name: string, input: string[], output: string, attribute: NodeProto['attribute'] = []): NodeProto => ({
  ...makeNode(name, output, input, [output], attribute),
  domain: DOMAIN,
});

const own = (name: string, input: string[], node: NodeProto[], more: Partial<FunctionProto> = {}): FunctionProto => ({
  ...{ name, domain: DOMAIN, input, output: ['r'], node, opsetImport },
  ...more,
});

const op = (name: string, input: string[], output: string, attribute: NodeProto['attribute'] = []): NodeProto =>
  makeNode(name, '', input, [output], attribute);

const branch = (name: string, node: NodeProto[]): GraphProto => ({
  ...{ name, node, initializer: [], input: [], valueInfo: [] },
  output: [{ name: node.at(-1)?.output[0] ?? '' }],
});

/** `model` with what functions and subgraphs have: calls in calls, attributes handed on, constants, a condition. */
export function withFunctions(model: ModelProto): ModelProto {
  const graph = model.graph;
  if (graph == null) throw new Error('the model has no graph');
  const [first, ...rest] = graph.node;
  if (first === undefined) throw new Error('the model has no nodes');
  const pads = { name: 'pads', type: AttributeType.INTS, refAttrName: 'edges' };
  const value = floatTensor(
    '',
    [8, 1, 1],
    Float32Array.from({ length: 8 }, (_, i) => 1 + i / 16),
  );
  const functions = [
    own('Layer', ['x', 'w', 'b'], [op('Conv', ['x', 'w', 'b'], 'c', [pads]), call('Scale', ['c'], 'r')], {
      attributeProto: [makeInts('edges', [1, 1, 1, 1])],
    }),
    own(
      'Scale',
      ['x'],
      [op('Constant', [], 'k', [{ name: 'value', type: AttributeType.TENSOR, t: value }]), op('Mul', ['x', 'k'], 'r')],
    ),
    own(
      'Either',
      ['x', 'which'],
      [
        op('If', ['which'], 'r', [
          { name: 'then_branch', type: AttributeType.GRAPH, g: branch('yes', [call('Scale', ['x'], 'm')]) },
          { name: 'else_branch', type: AttributeType.GRAPH, g: branch('no', [op('Neg', ['x'], 'm')]) },
        ]),
      ],
    ),
  ];
  const which = { name: 'which', dims: [], dataType: DataType.BOOL, rawData: Uint8Array.of(1) };
  return {
    ...model,
    irVersion: 9,
    opsetImport,
    functions,
    graph: {
      ...graph,
      node: [
        call('Layer', first.input, 'layered', [makeInts('edges', [1, 1, 1, 1])]),
        call('Either', ['layered', 'which'], first.output[0] ?? ''),
        ...rest,
      ],
      initializer: [...graph.initializer, which],
    },
  };
}
