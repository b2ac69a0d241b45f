import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/errors/index.js';
import { listLayers, loadModel, prepare, Runner } from '../../src/models/index.js';
import { makeInt, makeInts, makeNode } from '../../src/models/ir/attributes.js';
import {
  AttributeType,
  DataType,
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from '../../src/models/ir/messages.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import { batchOf, LIMITS, node, noise, proto, scratch, tensorOf, writeProto } from './graphs.js';

const DOMAIN = 'pkg.layers';
const SAMPLE = [4, 6, 6];

const call = (name: string, input: string[], output: string[], attribute: AttributeProto[] = [], label = '') => ({
  ...makeNode(name, label, input, output, attribute),
  domain: DOMAIN,
});

const local = (name: string, parts: Partial<FunctionProto> & Pick<FunctionProto, 'node'>): FunctionProto => ({
  name,
  domain: DOMAIN,
  input: ['a'],
  output: ['r'],
  opsetImport: [
    { domain: '', version: 17 },
    { domain: DOMAIN, version: 1 },
  ],
  ...parts,
});

const reference = (name: string, to: string, type: number): AttributeProto => ({ name, type, refAttrName: to });

function model(nodes: NodeProto[], functions: FunctionProto[], tensors = TENSORS): ModelProto {
  const plain = proto({ nodes, tensors, input: SAMPLE });
  return { ...plain, opsetImport: [...plain.opsetImport, { domain: DOMAIN, version: 1 }], functions };
}

const TENSORS = [tensorOf('w', [4, 4, 3, 3]), tensorOf('v', [4, 4, 3, 3], 9), tensorOf('b', [4])];
const load = (whole: ModelProto, limits = LIMITS) => loadModel(writeProto(whole), { directory: scratch(), limits });

/** Outputs of the runtime, which inlines functions itself, on the file as it is. */
async function outputs(what: Parameters<typeof Runner.open>[0]): Promise<number[][]> {
  const runner = await Runner.open(what, { threads: 1 });
  try {
    const values = await runner.run(batchOf(SAMPLE));
    return runner.outputs.map(({ name }) => Array.from(values.get(name)?.data ?? [], Number));
  } finally {
    await runner.release();
  }
}

async function same(whole: ModelProto): Promise<GraphProto> {
  const path = writeProto(whole);
  const inlined = await loadModel(path, { directory: scratch(), limits: LIMITS });
  const wanted = await outputs(path);
  const got = await outputs(inlined);
  const prepared = await outputs(prepare(inlined));
  expect(wanted.flat().some((v) => v !== 0)).toBe(true);
  expect(got).toEqual(wanted);
  for (const [i, row] of wanted.entries())
    for (const [j, value] of row.entries()) expect(prepared[i]?.[j]).toBeCloseTo(value, 4);
  expect(inlined.proto.functions).toEqual([]);
  expect(inlined.graph.node.every(({ domain }) => domain !== DOMAIN)).toBe(true);
  return inlined.graph;
}

const pads = makeInts('pads', [1, 1, 1, 1]);
/** A standard operator's name, and something else inside. */
const CONV = local('Conv', {
  input: ['x', 'w', 'b'],
  node: [node('Conv', ['x', 'w', 'b'], 'c', [pads], ''), node('Neg', ['c'], 'r', [], '')],
});

describe('local functions', () => {
  it('are inlined where they have the name of an operator, and their layers are found', async () => {
    const whole = model(
      [call('Conv', ['x', 'w', 'b'], ['p'], [], 'first'), call('Conv', ['p', 'v', ''], ['y'], [], 'second')],
      [CONV],
    );
    const graph = await same(whole);
    expect(graph.node.map(({ name }) => name)).toEqual(['first/Conv', 'first/Neg', 'second/Conv', 'second/Neg']);
    const listed = await listLayers(prepare(await load(whole)), batchOf(SAMPLE, 2), { threads: 1 });
    expect(listed.layers.map(({ name, blocked }) => [name, blocked])).toEqual([
      ['first/Conv', null],
      ['second/Conv', null],
    ]);
    expect(listed.parameters).toBe(2 * 144 + 4);
  });

  it('take attributes of the call, their defaults, or those of the operator', async () => {
    const act = local('Act', {
      attribute: ['alpha'],
      attributeProto: [{ name: 'perm', type: AttributeType.INTS, ints: [0, 1, 3, 2] }],
      node: [
        node('LeakyRelu', ['a'], 'l', [reference('alpha', 'alpha', AttributeType.FLOAT)]),
        node('Transpose', ['l'], 'r', [reference('perm', 'perm', AttributeType.INTS)]),
      ],
    });
    const alpha = { name: 'alpha', type: AttributeType.FLOAT, f: 0.3 };
    const graph = await same(
      model(
        [
          call('Act', ['x'], ['p'], [alpha]),
          call('Act', ['p'], ['q'], [makeInts('perm', [0, 2, 1, 3])]),
          node('Neg', ['q'], 'y'),
        ],
        [act],
      ),
    );
    const leaky = graph.node.filter(({ opType }) => opType === 'LeakyRelu');
    expect(leaky.map(({ attribute }) => attribute.length)).toEqual([1, 0]);
    expect(graph.node.flatMap(({ attribute }) => attribute).every((a) => (a.refAttrName ?? '') === '')).toBe(true);
  });

  it('call other functions, hand on attributes, and leave out outputs', async () => {
    const inner = local('Inner', {
      output: ['r', 's'],
      attribute: ['k'],
      node: [node('LeakyRelu', ['a'], 'r', [reference('alpha', 'k', AttributeType.FLOAT)]), node('Abs', ['a'], 's')],
    });
    const outer = local('Outer', {
      attributeProto: [{ name: 'slope', type: AttributeType.FLOAT, f: 0.25 }],
      node: [
        call('Inner', ['a'], ['', 't'], [reference('k', 'slope', AttributeType.FLOAT)]),
        call('Inner', ['t'], ['u', 'unread'], [reference('k', 'slope', AttributeType.FLOAT)]),
        node('Sub', ['a', 'u'], 'r'),
      ],
    });
    await same(model([call('Outer', ['x'], ['p']), call('Outer', ['p'], ['y'])], [inner, outer]));
  });

  it('give an input back, or one tensor twice, which the runtime takes only when they are inlined', async () => {
    const both = local('Both', { output: ['a', 'r', 'r'], node: [node('Neg', ['a'], 'r')] });
    const whole = model(
      [
        call('Both', ['x'], ['p', 'q', 's']),
        node('Exp', ['q'], 'e'),
        node('Add', ['p', 'e'], 'u'),
        node('Sub', ['u', 's'], 'y'),
      ],
      [both],
    );
    const plain = model(
      [node('Neg', ['x'], 'q'), node('Exp', ['q'], 'e'), node('Add', ['x', 'e'], 'u'), node('Sub', ['u', 'q'], 'y')],
      [],
    );
    expect(await outputs(await load(whole))).toEqual(await outputs(await load(plain)));
  });

  it('hold weights, which all calls share and which are counted once', async () => {
    const value = floatTensor('', [4, 4, 1, 1], noise(16, 3));
    const own = local('Own', {
      node: [
        makeNode('Constant', '', [], ['w'], [{ name: 'value', type: AttributeType.TENSOR, t: value }]),
        node('Conv', ['a', 'w'], 'c'),
        node('Relu', ['c'], 'r'),
      ],
    });
    const whole = model([call('Own', ['x'], ['p']), call('Own', ['p'], ['q']), node('Conv', ['q', 'w'], 'y')], [own]);
    await same(whole);
    const { layers, parameters } = await listLayers(prepare(await load(whole)), batchOf(SAMPLE, 2), { threads: 1 });
    expect(parameters).toBe(16 + 144);
    expect(layers.map(({ blocked, uses }) => [blocked, uses?.length])).toEqual([
      [null, 2],
      [null, undefined],
    ]);
  });

  it('stand in subgraphs and have subgraphs, of which names hide those around them', async () => {
    const branch = (name: string, nodes: NodeProto[]): GraphProto => ({
      ...{ name, node: nodes, initializer: [], input: [], valueInfo: [] },
      output: [{ name: nodes.at(-1)?.output[0] ?? '' }],
    });
    const condition = (name: string, then: GraphProto, otherwise: GraphProto, output: string): NodeProto =>
      makeNode(
        'If',
        '',
        [name],
        [output],
        [
          { name: 'then_branch', type: AttributeType.GRAPH, g: then },
          { name: 'else_branch', type: AttributeType.GRAPH, g: otherwise },
        ],
      );
    const choose = local('Choose', {
      input: ['a', 'c'],
      attribute: ['k'],
      node: [
        node('Neg', ['a'], 'n'),
        condition(
          'c',
          branch('t', [
            node('LeakyRelu', ['n'], 'm', [reference('alpha', 'k', AttributeType.FLOAT)]),
            call('Twice', ['m'], ['o']),
          ]),
          branch('e', [node('Abs', ['n'], 'm'), node('Exp', ['m'], 'o')]),
          'r',
        ),
      ],
    });
    const twice = local('Twice', { node: [node('Add', ['a', 'a'], 'm'), node('Abs', ['m'], 'r')] });
    const yes = { name: 'yes', dims: [], dataType: DataType.BOOL, rawData: Uint8Array.of(1) };
    const no = { name: 'no', dims: [], dataType: DataType.BOOL, rawData: Uint8Array.of(0) };
    const k = [{ name: 'k', type: AttributeType.FLOAT, f: 0.4 }];
    await same(
      model(
        [
          call('Choose', ['x', 'yes'], ['p'], k),
          call('Choose', ['p', 'no'], ['q'], k),
          condition(
            'yes',
            branch('main', [call('Choose', ['q', 'yes'], ['o'], k)]),
            branch('other', [node('Abs', ['q'], 'o')]),
            'y',
          ),
        ],
        [choose, twice],
        [yes, no],
      ),
    );
  });

  it('bring operator sets that only they use, and take their own with them', async () => {
    const gelu = local('G', {
      opsetImport: [
        { domain: '', version: 17 },
        { domain: 'com.microsoft', version: 1 },
      ],
      node: [{ ...node('Gelu', ['a'], 'r'), domain: 'com.microsoft' }],
    });
    const whole = model([call('G', ['x'], ['y'])], [gelu]);
    await same(whole);
    const { proto: inlined } = await load(whole);
    expect(inlined.opsetImport.map(({ domain }) => domain)).toEqual(['', 'com.microsoft']);
  });
});

const relu = (own: Partial<FunctionProto> = {}, name = 'F') =>
  local(name, { node: [node('Relu', ['a'], 'r')], ...own });
const doubling = (levels: number): FunctionProto[] =>
  Array.from({ length: levels }, (_, i) =>
    local(`L${String(i)}`, {
      node:
        i === 0
          ? [node('Relu', ['a'], 'r')]
          : [call(`L${String(i - 1)}`, ['a'], ['m']), call(`L${String(i - 1)}`, ['m'], ['r'])],
    }),
  );
const chain = (levels: number): FunctionProto[] =>
  Array.from({ length: levels }, (_, i) =>
    local(`L${String(i)}`, { node: [i === 0 ? node('Relu', ['a'], 'r') : call(`L${String(i - 1)}`, ['a'], ['r'])] }),
  );

const HOSTILE: [string, () => ModelProto, RegExp][] = [
  [
    'calls itself',
    () => model([call('F', ['x'], ['y'])], [local('F', { node: [call('F', ['a'], ['r'])] })]),
    /calls itself/,
  ],
  [
    'calls itself by way of another',
    () =>
      model(
        [call('F', ['x'], ['y'])],
        [local('F', { node: [call('G', ['a'], ['r'])] }), local('G', { node: [call('F', ['a'], ['r'])] })],
      ),
    /calls itself/,
  ],
  [
    'doubles with every level',
    () => model([call('L29', ['x'], ['y'])], doubling(30)),
    /more than 1000 nodes and calls/,
  ],
  ['is called a hundred levels deep', () => model([call('L99', ['x'], ['y'])], chain(100)), /inside 64 others/],
  [
    'has too few inputs',
    () => model([call('F', ['x', 'w'], ['y'])], [relu()]),
    /has 1 inputs and 1 outputs; a call has 2 and 1/,
  ],
  ['has too few outputs', () => model([call('F', ['x'], ['y', 'z'])], [relu()]), /a call has 1 and 2/],
  [
    'reads what the graph around it has',
    () => model([call('F', ['x'], ['y'])], [local('F', { node: [node('Add', ['a', 'x'], 'r')] })]),
    /reads x, which nothing in it makes/,
  ],
  [
    'does not make its output',
    () => model([call('F', ['x'], ['y'])], [relu({ output: ['ghost'] })]),
    /output ghost, which nothing in it makes/,
  ],
  [
    'makes its input',
    () => model([call('F', ['x'], ['y'])], [local('F', { output: ['a'], node: [node('Relu', ['a'], 'a')] })]),
    /makes a, which it has already/,
  ],
  [
    'has two inputs of one name',
    () => model([call('F', ['x', 'w'], ['y'])], [relu({ input: ['a', 'a'] })]),
    /two inputs of one name/,
  ],
  ['is defined twice', () => model([call('F', ['x'], ['y'])], [relu(), relu()]), /defined twice/],
  [
    'means other versions of operators',
    () => model([call('F', ['x'], ['y'])], [relu({ opsetImport: [{ domain: '', version: 11 }] })]),
    /version 11 of the operators of ai.onnx, and the model version 17/,
  ],
  [
    'takes an attribute as another type',
    () =>
      model(
        [call('F', ['x'], ['y'], [makeInt('k', 1)])],
        [
          relu({
            attribute: ['k'],
            node: [node('LeakyRelu', ['a'], 'r', [reference('alpha', 'k', AttributeType.FLOAT)])],
          }),
        ],
      ),
    /takes k as another type/,
  ],
  [
    'is in the domain of the standard operators',
    () => model([node('Relu', ['x'], 'y')], [{ ...relu({}, 'Relu'), domain: 'ai.onnx' }]),
    /in the domain of the standard operators/,
  ],
];

describe('a local function that', () => {
  it.each(HOSTILE)('%s is refused, and named', async (_, whole, message) => {
    const refusal = await load(whole()).then(
      () => null,
      (error: unknown) => error,
    );
    expect(refusal).toBeInstanceOf(InputError);
    expect((refusal as InputError).message).toMatch(message);
    expect((refusal as InputError).faults[0]?.pointer).toMatch(/^#model\/functions/);
  });
});
