import { describe, expect, it } from 'vitest';
import type { FloatTensor } from '../../src/datasets/tensor.js';
import { listLayers, prepare, Runner, TrainableNetwork, type Model, type Pull } from '../../src/models/index.js';
import { makeFloat, makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { withFields, type AttributeProto } from '../../src/models/ir/messages.js';
import { elementCount, floatTensor, int64Tensor, tensorDims } from '../../src/models/ir/tensors.js';
import { batchOf, build, node, noise, tensorOf, type Sketch } from './graphs.js';
import { TOPOLOGIES } from './topologies.js';

const text = (name: string, value: string): AttributeProto => ({ name, type: 3, s: Buffer.from(value) });
const ints = (name: string, values: number[]) => int64Tensor(name, [values.length], values);

/** `w`, of the shape of a sample, is added to the input; behind that comes what is tested, from `z` to `y`. */
const behindSum = (sample: number[], nodes: Sketch['nodes'], tensors: Sketch['tensors'] = [], opset = 17): Sketch => ({
  input: sample,
  opset,
  nodes: [node('Add', ['x', 'w'], 'z'), ...nodes],
  tensors: [tensorOf('w', [1, ...sample]), ...tensors],
});
const one = (sample: number[], op: string, attribute: AttributeProto[] = [], tensors: Sketch['tensors'] = []) =>
  behindSum(sample, [node(op, ['z', ...tensors.map(({ name }) => name)], 'y', attribute)], tensors);

/** A convolution whose kernel `k`, bias `b` and input (through `w`) are all differentiated. */
const conv = (attribute: AttributeProto[], kernel: number[], sample = [3, 9, 8]): Sketch =>
  behindSum(
    sample,
    [node('Conv', ['z', 'k', 'b'], 'y', attribute)],
    [tensorOf('k', kernel), tensorOf('b', [kernel[0] ?? 1])],
  );

const MAP = [4, 6, 8];
/** The same of a transposed convolution; its kernel is [channels, outputs of a group, ...]. */
const spreading = (attribute: AttributeProto[], kernel: number[], sample = MAP): Sketch => {
  const group = attribute.find(({ name }) => name === 'group')?.i ?? 1;
  return behindSum(
    sample,
    [node('ConvTranspose', ['z', 'k', 'b'], 'y', attribute)],
    [tensorOf('k', kernel), tensorOf('b', [(kernel[1] ?? 1) * Number(group)])],
  );
};
/** Bilinear and the like. */
const resized = (factors: number[], ...attribute: AttributeProto[]): Sketch =>
  behindSum(
    MAP,
    [node('Resize', ['z', '', 'scales'], 'y', attribute)],
    [floatTensor('scales', [4], Float32Array.of(1, 1, ...factors))],
  );
const place = (name: string) => text('coordinate_transformation_mode', name);
const CASES: Record<string, Sketch> = {
  'Conv 3x3 with padding': conv([makeInts('pads', [1, 1, 1, 1])], [5, 3, 3, 3]),
  'Conv without padding': conv([], [5, 3, 3, 2]),
  'Conv with strides and a rest': conv([makeInts('strides', [2, 3]), makeInts('pads', [1, 0, 1, 2])], [5, 3, 3, 3]),
  'Conv with dilations': conv([makeInts('dilations', [2, 2]), makeInts('pads', [2, 2, 2, 2])], [5, 3, 3, 3]),
  'Conv padded wider than its kernel': conv([makeInts('pads', [3, 3, 3, 3])], [5, 3, 2, 2]),
  'Conv SAME_UPPER': conv([text('auto_pad', 'SAME_UPPER'), makeInts('strides', [2, 2])], [5, 3, 3, 3]),
  'Conv SAME_LOWER': conv([text('auto_pad', 'SAME_LOWER'), makeInts('strides', [2, 2])], [5, 3, 4, 3]),
  'Conv VALID': conv([text('auto_pad', 'VALID')], [5, 3, 3, 3]),
  'Conv 1x1': conv([], [6, 3, 1, 1]),
  'Conv 1x1 with strides': conv([makeInts('strides', [2, 2])], [6, 3, 1, 1]),
  'Conv over time': conv([makeInts('pads', [1, 1])], [5, 3, 3], [3, 11]),
  'grouped Conv': conv([makeInt('group', 3), makeInts('pads', [1, 1, 1, 1])], [6, 2, 3, 3], [6, 7, 8]),
  'depthwise Conv': conv(
    [makeInt('group', 4), makeInts('strides', [2, 2]), makeInts('pads', [1, 1, 1, 1])],
    [4, 1, 3, 3],
    MAP,
  ),
  'depthwise Conv with a multiplier, over time': conv([makeInt('group', 3)], [6, 1, 3], [3, 11]),
  'depthwise Conv with dilations': conv([makeInt('group', 4), makeInts('dilations', [2, 1])], [4, 1, 3, 3], MAP),
  ConvTranspose: spreading([makeInts('strides', [2, 2]), makeInts('pads', [1, 1, 0, 1])], [4, 3, 3, 3]),
  'ConvTranspose with a wider output': spreading(
    [makeInts('strides', [3, 2]), makeInts('output_padding', [2, 1]), makeInts('dilations', [1, 2])],
    [4, 3, 2, 3],
  ),
  'ConvTranspose in groups': spreading([makeInt('group', 2), makeInts('strides', [2, 2])], [4, 3, 2, 2]),
  'ConvTranspose to a given size': spreading(
    [makeInts('strides', [2, 2]), makeInts('output_shape', [12, 15])],
    [4, 3, 3, 3],
  ),
  'ConvTranspose SAME_UPPER': spreading([makeInts('strides', [2, 2]), text('auto_pad', 'SAME_UPPER')], [4, 3, 3, 3]),
  'ConvTranspose over time': spreading([makeInts('strides', [4])], [4, 3, 5], [4, 6]),
  'input of a depthwise Conv': behindSum(
    MAP,
    [node('Conv', ['z', 'fixed'], 'y', [makeInt('group', 4), makeInts('strides', [2, 2])])],
    [tensorOf('fixed', [4, 1, 3, 3])],
  ),
  'input of a ConvTranspose': behindSum(
    MAP,
    [node('ConvTranspose', ['z', 'fixed'], 'y', [makeInts('strides', [2, 2]), makeInts('pads', [1, 1, 0, 1])])],
    [tensorOf('fixed', [4, 3, 3, 3])],
  ),
  'Gemm, turned': behindSum(
    [7],
    [node('Gemm', ['z', 'k', 'b'], 'y', [makeInt('transB', 1), makeFloat('alpha', 0.7), makeFloat('beta', 2)])],
    [tensorOf('k', [5, 7]), tensorOf('b', [5])],
  ),
  Gemm: behindSum([7], [node('Gemm', ['z', 'k', 'b'], 'y')], [tensorOf('k', [7, 5]), tensorOf('b', [1, 5])]),
  'MatMul with rows': behindSum([4, 7], [node('MatMul', ['z', 'k'], 'y')], [tensorOf('k', [7, 5])]),
  'MatMul of two activations': behindSum(
    [4, 7],
    [node('Transpose', ['z'], 't', [makeInts('perm', [0, 2, 1])]), node('MatMul', ['z', 't'], 'y')],
  ),
  'Mul and Div with broadcasting': behindSum(
    MAP,
    [node('Mul', ['z', 'k'], 'm'), node('Div', ['m', 'b'], 'y')],
    [
      tensorOf('k', [4, 1, 1]),
      floatTensor(
        'b',
        [8],
        noise(8).map((v) => v + 2),
      ),
    ],
  ),
  'Sub both ways': behindSum(MAP, [node('Sub', ['k', 'z'], 'm'), node('Sub', ['m', 'x'], 'y')], [tensorOf('k', [1])]),
  'a tensor that is read twice': behindSum(MAP, [node('Sigmoid', ['z'], 's'), node('Mul', ['z', 's'], 'y')]),
  Relu: one(MAP, 'Relu'),
  LeakyRelu: one(MAP, 'LeakyRelu', [makeFloat('alpha', 0.2)]),
  PRelu: one(MAP, 'PRelu', [], [tensorOf('k', [4, 1, 1])]),
  'PRelu with one slope': one(MAP, 'PRelu', [], [floatTensor('k', [1], Float32Array.of(0.3))]),
  'LeakyRelu as a maximum': behindSum(
    MAP,
    [node('Mul', ['z', 'slope'], 'm'), node('Max', ['m', 'z'], 'y')],
    [floatTensor('slope', [], Float32Array.of(0.2))],
  ),
  'Max and Min with broadcasting': behindSum(
    MAP,
    [node('Max', ['z', 'k', 'x'], 'm'), node('Min', ['m', 'b'], 'y')],
    [tensorOf('k', [4, 1, 1]), tensorOf('b', [8])],
  ),
  'Sum and Mean': behindSum(
    MAP,
    [node('Sum', ['z', 'x', 'k'], 's'), node('Mean', ['s', 'z', 'b'], 'y')],
    [tensorOf('k', [4, 1, 1]), tensorOf('b', [1])],
  ),
  Selu: one(MAP, 'Selu'),
  Celu: one(MAP, 'Celu', [makeFloat('alpha', 0.6)]),
  ThresholdedRelu: one(MAP, 'ThresholdedRelu', [makeFloat('alpha', 0.2)]),
  Softsign: one(MAP, 'Softsign'),
  Elu: one(MAP, 'Elu', [makeFloat('alpha', 0.7)]),
  'Clip by inputs': one(
    MAP,
    'Clip',
    [],
    [floatTensor('low', [], Float32Array.of(-0.5)), floatTensor('high', [], Float32Array.of(0.8))],
  ),
  Sigmoid: one(MAP, 'Sigmoid'),
  Tanh: one(MAP, 'Tanh'),
  Softplus: one(MAP, 'Softplus'),
  HardSigmoid: one(MAP, 'HardSigmoid'),
  HardSwish: one(MAP, 'HardSwish'),
  Erf: one(MAP, 'Erf'),
  'Gelu, which came with opset 20': behindSum(MAP, [node('Gelu', ['z'], 'y')], [], 20),
  'Exp, Log, Sqrt and Reciprocal': behindSum(MAP, [
    node('Exp', ['z'], 'e'),
    node('Sqrt', ['e'], 's'),
    node('Reciprocal', ['s'], 'r'),
    node('Neg', ['r'], 'n'),
    node('Abs', ['n'], 'a'),
    node('Log', ['a'], 'y'),
  ]),
  Pow: behindSum(
    MAP,
    [node('Exp', ['z'], 'e'), node('Pow', ['e', 'p'], 'y')],
    [floatTensor('p', [], Float32Array.of(1.7))],
  ),
  MaxPool: one(MAP, 'MaxPool', [makeInts('kernel_shape', [2, 2]), makeInts('strides', [2, 2])]),
  'MaxPool with overlapping windows': one(MAP, 'MaxPool', [
    makeInts('kernel_shape', [3, 3]),
    makeInts('strides', [2, 2]),
    makeInts('pads', [1, 1, 1, 1]),
  ]),
  AveragePool: one(MAP, 'AveragePool', [makeInts('kernel_shape', [2, 2]), makeInts('strides', [2, 2])]),
  'AveragePool with padding': one(MAP, 'AveragePool', [
    makeInts('kernel_shape', [3, 3]),
    makeInts('strides', [2, 2]),
    makeInts('pads', [1, 1, 1, 1]),
  ]),
  'AveragePool that counts its padding': one(MAP, 'AveragePool', [
    makeInts('kernel_shape', [3, 3]),
    makeInts('pads', [1, 1, 1, 1]),
    makeInt('count_include_pad', 1),
  ]),
  GlobalAveragePool: one(MAP, 'GlobalAveragePool'),
  GlobalMaxPool: one(MAP, 'GlobalMaxPool'),
  ReduceMean: one(MAP, 'ReduceMean', [makeInts('axes', [2, -1]), makeInt('keepdims', 0)]),
  ReduceSum: one(MAP, 'ReduceSum', [], [ints('axes', [1])]),
  Flatten: one(MAP, 'Flatten'),
  Reshape: one(MAP, 'Reshape', [], [ints('shape', [0, 8, -1])]),
  Transpose: one(MAP, 'Transpose', [makeInts('perm', [0, 2, 3, 1])]),
  Concat: behindSum(MAP, [node('Concat', ['x', 'z', 'z'], 'y', [makeInt('axis', 1)])]),
  Split: behindSum(
    MAP,
    [
      { ...node('Split', ['z', 'parts'], 'a', [makeInt('axis', 1)]), output: ['left', 'right'] },
      node('Tanh', ['right'], 't'),
      node('Concat', ['t', 'left'], 'y', [makeInt('axis', 1)]),
    ],
    [ints('parts', [1, 3])],
  ),
  Gather: one(MAP, 'Gather', [makeInt('axis', 1)], [ints('kept', [3, 0, 2])]),
  'Gather, one several times': one(MAP, 'Gather', [makeInt('axis', 1)], [ints('kept', [3, 0, 3, 3, -1])]),
  'Gather, last axis': one(MAP, 'Gather', [makeInt('axis', -1)], [ints('kept', [1, 1, 0])]),
  'Slice with steps': behindSum(
    MAP,
    [node('Slice', ['z', 'from', 'to', 'axes', 'steps'], 'y')],
    [ints('from', [0, -7]), ints('to', [2 ** 40, -1]), ints('axes', [2, 3]), ints('steps', [2, 3])],
  ),
  Pad: one(MAP, 'Pad', [], [ints('pads', [0, 1, 0, 2, 0, 1, 3, 0])]),
  'Resize to twice the size': behindSum(
    MAP,
    [
      node('Resize', ['z', '', 'scales'], 'y', [
        text('mode', 'nearest'),
        text('coordinate_transformation_mode', 'asymmetric'),
        text('nearest_mode', 'floor'),
      ]),
    ],
    [floatTensor('scales', [4], Float32Array.of(1, 1, 2, 2))],
  ),
  'Resize to any size, linear': resized([1.5, 2.5], text('mode', 'linear')),
  'Resize, linear, smaller': resized([0.5, 0.75], text('mode', 'linear'), place('asymmetric')),
  'Resize, linear, to the corners': resized([2, 1], text('mode', 'linear'), place('align_corners')),
  'Resize, nearest, by no whole number': resized([1.5, 0.5], text('mode', 'nearest'), text('nearest_mode', 'ceil')),
  'Resize, cubic': resized([2, 1.5], text('mode', 'cubic'), place('pytorch_half_pixel')),
  'DepthToSpace, blocks first': one(MAP, 'DepthToSpace', [makeInt('blocksize', 2)]),
  'DepthToSpace, channels first': one([8, 3, 2], 'DepthToSpace', [makeInt('blocksize', 2), text('mode', 'CRD')]),
  SpaceToDepth: one(MAP, 'SpaceToDepth', [makeInt('blocksize', 2)]),
  Tile: one([3, 4], 'Tile', [], [ints('repeats', [1, 2, 3])]),
  LayerNormalization: one([5, 7], 'LayerNormalization', [], [tensorOf('k', [7]), tensorOf('b', [7])]),
  'LayerNormalization over two axes': one(
    MAP,
    'LayerNormalization',
    [makeInt('axis', 2), makeFloat('epsilon', 0.01)],
    [tensorOf('k', [6, 8])],
  ),
  InstanceNormalization: one(MAP, 'InstanceNormalization', [], [tensorOf('k', [4]), tensorOf('b', [4])]),
  GroupNormalization: {
    ...one(MAP, 'GroupNormalization', [makeInt('num_groups', 2)], [tensorOf('k', [4]), tensorOf('b', [4])]),
    opset: 21,
  },
  'LayerNormalization taken apart': behindSum(
    [5, 7],
    [
      node('ReduceMean', ['z'], 'mean', [makeInts('axes', [-1])]),
      node('Sub', ['z', 'mean'], 'd'),
      node('Pow', ['d', 'two'], 'square'),
      node('ReduceMean', ['square'], 'v', [makeInts('axes', [-1])]),
      node('Add', ['v', 'epsilon'], 've'),
      node('Sqrt', ['ve'], 's'),
      node('Div', ['d', 's'], 'y'),
    ],
    [floatTensor('two', [], Float32Array.of(2)), floatTensor('epsilon', [], Float32Array.of(1e-5))],
  ),
  'attention of two heads': behindSum(
    [5, 8],
    [
      node('MatMul', ['z', 'k'], 'q'),
      node('Reshape', ['q', 'heads'], 'qh'),
      node('Transpose', ['qh'], 'qt', [makeInts('perm', [0, 2, 1, 3])]),
      node('Reshape', ['z', 'heads'], 'vh'),
      node('Transpose', ['vh'], 'vt', [makeInts('perm', [0, 2, 1, 3])]),
      node('Transpose', ['vh'], 'kt', [makeInts('perm', [0, 2, 3, 1])]),
      node('MatMul', ['qt', 'kt'], 'scores'),
      node('Add', ['scores', 'mask'], 'masked'),
      node('Softmax', ['masked'], 'p', [makeInt('axis', -1)]),
      node('MatMul', ['p', 'vt'], 'o'),
      node('Transpose', ['o'], 'ot', [makeInts('perm', [0, 2, 1, 3])]),
      node('Reshape', ['ot', 'rows'], 'y'),
    ],
    [
      tensorOf('k', [8, 8]),
      ints('heads', [0, 0, 2, 4]),
      ints('rows', [0, 0, 8]),
      // Causal: what lies behind is not looked at.
      floatTensor(
        'mask',
        [5, 5],
        Float32Array.from({ length: 25 }, (_, i) => (i % 5 > Math.floor(i / 5) ? -Infinity : 0)),
      ),
    ],
  ),
  LogSoftmax: one([5, 7], 'LogSoftmax', [makeInt('axis', 1)]),
  Where: behindSum(MAP, [node('Greater', ['x', 'b'], 'c'), node('Where', ['c', 'z', 'x'], 'y')], [tensorOf('b', [1])]),
  Softmax: one([5, 7], 'Softmax', [makeInt('axis', 1)]),
  BatchNormalization: one(
    MAP,
    'BatchNormalization',
    [],
    [
      tensorOf('scale', [4]),
      tensorOf('shift', [4]),
      tensorOf('mean', [4]),
      floatTensor('variance', [4], Float32Array.of(0.5, 1, 2, 3)),
    ],
  ),
};

const TRAINED = new Set(['w', 'k', 'b']);

async function open(model: Model, weights: ReadonlySet<string>, losses: string[], samples: FloatTensor) {
  const network = await TrainableNetwork.open(model, { weights, losses, samples }, { threads: 1 });
  const pulls = new Map<string, Pull>();
  for (const [i, name] of network.losses.entries()) {
    const dims = [...network.shapeOf(name)];
    const length = dims.reduce((a, b) => a * b, 1);
    pulls.set(name, { target: { dims, data: noise(length, 17 + i) }, weight: 1 / length });
  }
  return { network, samples, pulls };
}

const openSketch = async (sketch: Sketch) => open(await build(sketch), TRAINED, ['y'], batchOf(sketch.input));

/** Derivatives along random directions against central differences of the loss. */
async function expectDerivatives(
  { network, samples, pulls }: Awaited<ReturnType<typeof open>>,
  of = [...network.weights.keys()],
): Promise<void> {
  const loss = async () => {
    const { losses } = await network.differentiate(samples, pulls);
    return [...losses.values()].reduce((a, b) => a + b, 0);
  };
  const { gradients } = await network.differentiate(samples, pulls);
  for (const name of of) {
    const data = network.weights.get(name)?.data ?? new Float32Array();
    const direction = noise(data.length, 23);
    const given = (gradients.get(name) ?? new Float32Array()).reduce((sum, g, i) => sum + g * (direction[i] ?? 0), 0);
    const own = data.slice();
    const moved = async (by: number) => {
      for (let i = 0; i < data.length; i++) data[i] = (own[i] ?? 0) + by * (direction[i] ?? 0);
      return loss();
    };
    const step = 4e-4;
    const measured = ((await moved(step)) - (await moved(-step))) / (2 * step);
    data.set(own);
    // Small, for functions with kinks; in float32 the rounding of the loss alone is 1e-7 / 0.0008.
    expect(Math.abs(given - measured), `${name}: ${String(given)} ${String(measured)}`).toBeLessThan(
      2e-3 + 0.03 * Math.abs(measured),
    );
  }
}

describe('gradients by the runtime', () => {
  it.each(Object.keys(CASES))('%s', async (name) => {
    const sketch = CASES[name];
    if (sketch === undefined) throw new Error(name);
    const opened = await openSketch(sketch);
    try {
      expect([...opened.network.weights.keys()].sort()).toEqual(
        sketch.tensors
          .map((tensor) => tensor.name)
          .filter((tensor) => TRAINED.has(tensor) && reaches(sketch, tensor))
          .sort(),
      );
      expect(opened.network.losses).toEqual(['y']);
      await expectDerivatives(opened);
    } finally {
      await opened.network.release();
    }
  });

  it.each(Array.from({ length: 24 }, (_, i) => i))(
    'of convolutions of any geometry, both ways (seed %i)',
    async (seed) => {
      const random = noise(40, seed + 100).map((v) => (v + 1) / 2);
      let at = 0;
      const pick = (from: number, to: number) => from + Math.floor((random[at++] ?? 0) * (to - from + 1));
      const group = pick(1, 3);
      const [inputs, outputs, axes] = [group * pick(1, 2), group * pick(1, 3), pick(1, 2)];
      const list = (from: number, to: number) => Array.from({ length: axes }, () => pick(from, to));
      const [kernel, strides, dilations, begin, end] = [list(1, 3), list(1, 3), list(1, 2), list(0, 1), list(0, 1)];
      const attribute = [
        makeInt('group', group),
        makeInts('strides', strides),
        makeInts('dilations', dilations),
        // A transposed convolution cuts what is padded: its kernel reaches that far at least.
        makeInts(
          'pads',
          [...begin, ...end].map((p, i) => Math.min(p, (kernel[i % axes] ?? 1) - 1)),
        ),
      ];
      const sample = [inputs, ...list(7, 10)];
      const spread = seed % 2 === 1;
      const weights = spread ? [inputs, outputs / group, ...kernel] : [outputs, inputs / group, ...kernel];
      const sketch = behindSum(
        sample,
        [node(spread ? 'ConvTranspose' : 'Conv', ['z', 'k', 'b'], 'y', attribute)],
        [tensorOf('k', weights), tensorOf('b', [outputs])],
      );
      const opened = await openSketch(sketch);
      try {
        expect([...opened.network.weights.keys()].sort()).toEqual(['b', 'k', 'w']);
        await expectDerivatives(opened);
      } finally {
        await opened.network.release();
      }
    },
  );

  it('stop at an operator without a rule, whose inputs are pulled instead', async () => {
    const sketch = behindSum(
      MAP,
      [node('LRN', ['z'], 'n', [makeInt('size', 3)]), node('Mul', ['n', 'k'], 'y')],
      [tensorOf('k', [1])],
    );
    const opened = await openSketch(sketch);
    try {
      expect([...opened.network.losses].sort()).toEqual(['y', 'z']);
      expect([...opened.network.weights.keys()].sort()).toEqual(['k', 'w']);
      await expectDerivatives(opened, ['k']);
    } finally {
      await opened.network.release();
    }
  });

  it('are the same with the original in the graph as with its tensors given', async () => {
    const sketch = behindSum(MAP, [node('Relu', ['z'], 'y')], []);
    const [student, original] = [await build(sketch), await build(sketch)];
    const changed = withFields(original.graph, {
      initializer: original.graph.initializer.map((tensor) =>
        tensor.name === 'w'
          ? floatTensor('w', tensorDims(tensor), noise(elementCount(tensorDims(tensor)), 31))
          : tensor,
      ),
    });
    const teacher = { ...original, graph: changed, proto: withFields(original.proto, { graph: changed }) };
    const samples = batchOf(sketch.input);
    const given = { weights: TRAINED, losses: ['z', 'y'], samples };
    const runner = await Runner.open(teacher, { threads: 1, capture: ['z'] });
    const apart = await TrainableNetwork.open(student, given, { threads: 1 });
    const together = await TrainableNetwork.open(student, { ...given, original: teacher }, { threads: 1 });
    try {
      const targets = await runner.run(samples);
      const pulls = new Map(
        ['z', 'y'].map((name, i): [string, Pull] => [
          name,
          { target: targets.get(name) as FloatTensor, weight: 0.5 + i },
        ]),
      );
      const expected = await apart.differentiate(samples, pulls);
      const weights = new Map([...pulls].map(([name, { weight }]): [string, Pull] => [name, { weight }]));
      const found = await together.differentiate(samples, weights);
      expect([...found.gradients.keys()]).toEqual([...expected.gradients.keys()]);
      for (const [name, gradient] of expected.gradients) {
        expect(Math.max(...gradient.map(Math.abs))).toBeGreaterThan(0.01);
        for (const [i, value] of gradient.entries()) expect(found.gradients.get(name)?.[i]).toBeCloseTo(value, 4);
      }
    } finally {
      await Promise.all([runner.release(), apart.release(), together.release()]);
    }
  });

  it('teach nothing before an operator without a rule that reads what has no wanted value', async () => {
    const sketch = behindSum(
      MAP,
      [node('LRN', ['z'], 'n', [makeInt('size', 3)]), node('Mul', ['n', 'k'], 'y')],
      [tensorOf('k', [1])],
    );
    const given = { weights: TRAINED, losses: ['y'], known: new Set(['y']), samples: batchOf(sketch.input) };
    const network = await TrainableNetwork.open(await build(sketch), given, { threads: 1 });
    try {
      expect(network.losses).toEqual(['y']);
      expect([...network.weights.keys()]).toEqual(['k']);
    } finally {
      await network.release();
    }
  });

  it('stop at an operator whose rule does not cover its attributes', async () => {
    const reflected = one(MAP, 'Pad', [text('mode', 'reflect')], [ints('pads', [0, 0, 1, 1, 0, 0, 1, 1])]);
    const { network } = await openSketch(reflected);
    try {
      expect(network.losses).toEqual(['z']);
    } finally {
      await network.release();
    }
  });

  it('stop at an operator of another domain, whatever its name', async () => {
    const foreign = behindSum(MAP, [{ ...node('Gelu', ['z'], 'y'), domain: 'com.microsoft' }]);
    const model = await build(foreign);
    model.proto.opsetImport.push({ domain: 'com.microsoft', version: 1 });
    const { network } = await open(model, TRAINED, ['y'], batchOf(MAP));
    try {
      expect(network.losses).toEqual(['z']);
    } finally {
      await network.release();
    }
  });

  it('leave weights alone that no loss depends on, and hand out the network as it is changed', async () => {
    const sketch = behindSum(
      MAP,
      [node('Mul', ['z', 'k'], 'y'), node('Add', ['x', 'b'], 'other')],
      [tensorOf('k', [1]), tensorOf('b', [1])],
    );
    const { network } = await openSketch(sketch);
    try {
      expect([...network.weights.keys()].sort()).toEqual(['k', 'w']);
      network.weights.get('k')?.data.fill(3);
      const changed = network.current().graph.initializer.find(({ name }) => name === 'k');
      expect(changed?.rawData).toEqual(new Uint8Array(Float32Array.of(3).buffer));
    } finally {
      await network.release();
    }
  });

  it.each(Object.keys(TOPOLOGIES))('of a whole network: %s', async (name) => {
    const sketch = TOPOLOGIES[name];
    if (sketch === undefined) throw new Error(name);
    const model = prepare(await build(sketch));
    const samples = batchOf(sketch.input, sketch.batch ?? 3);
    const { layers } = await listLayers(model, samples, { threads: 1 });
    const used = new Set(
      layers.flatMap(({ name: layer }) => model.graph.node.find((n) => n.name === layer)?.input ?? []),
    );
    const weights = new Set(
      model.graph.initializer.filter((t) => t.dataType === 1 && used.has(t.name)).map((t) => t.name),
    );
    const opened = await open(model, weights, [sketch.output ?? 'y'], samples);
    try {
      await expectDerivatives(opened);
    } finally {
      await opened.network.release();
    }
  });
});

/** Weights in the way of the gradient only. */
const reaches = (sketch: Sketch, tensor: string): boolean =>
  sketch.nodes.some(
    ({ input }) =>
      (input.includes(tensor) && !input.every((name) => name === 'x' || name === tensor)) ||
      (tensor === 'w' && input.includes('w')),
  );
