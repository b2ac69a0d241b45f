import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { makeFloat, makeInt, makeInts, makeString } from '../../src/models/ir/attributes.js';
import { DataType, type NodeProto, type TensorProto } from '../../src/models/ir/messages.js';
import { floatTensor, int64Tensor } from '../../src/models/ir/tensors.js';
import { loadModel, Runner } from '../../src/models/index.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { tensorIn } from '../models/float-types.js';
import { batchOf, node, noise, proto, scratch, tensorOf, writeProto } from '../models/graphs.js';
import { LIMITS, localOptions } from './network.js';

/** What networks are made of, each between two layers of a whole job with distillation. */
interface Form {
  /** From `c` [n, 16, 8, 8] to `f`. */
  nodes: NodeProto[];
  tensors?: TensorProto[];
  /** Channels of `f`, where they are others. */
  channels?: number;
  /** Of the layer behind, where it is written in a way of its own. */
  last?: { nodes: NodeProto[]; tensors: TensorProto[] };
}

const CHANNELS = 16;

/** Weights of rank 4 and a little noise. */
function planted(name: string, [m = 1, ...rest]: number[], seed: number): TensorProto {
  const d = rest.reduce((a, b) => a * b, 1);
  const [p, q, beside] = [noise(m * 4, seed), noise(4 * d, seed + 1), noise(m * d, seed + 2)];
  const at = (i: number, j: number) => [0, 1, 2, 3].reduce((sum, k) => sum + p[i * 4 + k] * q[k * d + j], 0);
  const values = beside.map((v, n) => (2 * at(Math.floor(n / d), n % d) + v / 20) / Math.sqrt(d));
  return floatTensor(name, [m, ...rest], values);
}

const scalar = (name: string, value: number) => floatTensor(name, [], Float32Array.of(value));
const half = [makeInts('kernel_shape', [2, 2]), makeInts('strides', [2, 2])];
const same = [makeInts('pads', [1, 1, 1, 1])];
const slopes = noise(CHANNELS, 5).map((v) => 0.2 + 0.15 * v);

/** Every place is a token; the heads are one. */
const attention = (masked: boolean): Form => ({
  nodes: [
    node('Reshape', ['c', 'tokens'], 'rows'),
    node('Transpose', ['rows'], 't', [makeInts('perm', [0, 2, 1])]),
    ...['q', 'k', 'v'].map((name) => node('MatMul', ['t', `w${name}`], name, [], `to_${name}`)),
    node('Transpose', ['k'], 'kt', [makeInts('perm', [0, 2, 1])]),
    node('MatMul', ['q', 'kt'], 'scores'),
    node('Mul', ['scores', 'quarter'], 'scaled'),
    ...(masked ? [node('Add', ['scaled', 'mask'], 'seen')] : []),
    node('Softmax', [masked ? 'seen' : 'scaled'], 'shares', [makeInt('axis', -1)]),
    node('MatMul', ['shares', 'v'], 'mixed'),
    node('Add', ['mixed', 't'], 'sum'),
    node('Transpose', ['sum'], 'back', [makeInts('perm', [0, 2, 1])]),
    node('Reshape', ['back', 'map'], 'f'),
  ],
  tensors: [
    int64Tensor('tokens', [3], [0, CHANNELS, 64]),
    int64Tensor('map', [4], [0, CHANNELS, 8, 8]),
    scalar('quarter', 0.25),
    ...['q', 'k', 'v'].map((name, i) => planted(`w${name}`, [CHANNELS, CHANNELS], 60 + 5 * i)),
    ...(masked
      ? [
          floatTensor(
            'mask',
            [64, 64],
            Float32Array.from({ length: 4096 }, (_, i) => (i % 64 > i / 64 ? -Infinity : 0)),
          ),
        ]
      : []),
  ],
});

const conv = (weights: string) => node('Conv', ['f', weights], 'e', same, 'behind');
const behind = planted('w1', [CHANNELS, CHANNELS, 3, 3], 31);

const FORMS: Record<string, Form> = {
  'PRelu with a slope for every channel': {
    nodes: [node('PRelu', ['c', 'slopes'], 'f')],
    tensors: [floatTensor('slopes', [CHANNELS, 1, 1], slopes)],
  },
  'LeakyRelu as a maximum': {
    nodes: [node('Mul', ['c', 'fifth'], 'm'), node('Max', ['c', 'm'], 'f')],
    tensors: [scalar('fifth', 0.2)],
  },
  'Min with a constant': { nodes: [node('Min', ['c', 'one'], 'f')], tensors: [scalar('one', 0.5)] },
  'Split, one half a gate of the other': {
    nodes: [
      { ...node('Split', ['c', 'halves'], 'a', [makeInt('axis', 1)]), output: ['a', 'b'] },
      node('Sigmoid', ['b'], 's'),
      node('Mul', ['a', 's'], 'f'),
    ],
    tensors: [int64Tensor('halves', [2], [8, 8])],
    channels: 8,
  },
  DepthToSpace: { nodes: [node('DepthToSpace', ['c'], 'f', [makeInt('blocksize', 2)])], channels: 4 },
  Tile: { nodes: [node('Tile', ['c', 'repeats'], 'f')], tensors: [int64Tensor('repeats', [4], [1, 1, 1, 2])] },
  LayerNormalization: {
    nodes: [
      node('Transpose', ['c'], 't', [makeInts('perm', [0, 2, 3, 1])]),
      node('LayerNormalization', ['t', 'gain', 'shift'], 'n', [makeInt('axis', -1)]),
      node('Transpose', ['n'], 'f', [makeInts('perm', [0, 3, 1, 2])]),
    ],
    tensors: [tensorOf('gain', [CHANNELS]), tensorOf('shift', [CHANNELS])],
  },
  InstanceNormalization: {
    nodes: [node('InstanceNormalization', ['c', 'gain', 'shift'], 'f')],
    tensors: [tensorOf('gain', [CHANNELS]), tensorOf('shift', [CHANNELS])],
  },
  'a convolution in groups': {
    nodes: [node('Conv', ['c', 'g'], 'p', [...same, makeInt('group', 4)], 'groups'), node('Relu', ['p'], 'f')],
    tensors: [tensorOf('g', [CHANNELS, 4, 3, 3])],
  },
  'a depthwise convolution': {
    nodes: [node('Conv', ['c', 'g'], 'p', [...same, makeInt('group', 16)], 'depthwise'), node('Relu', ['p'], 'f')],
    tensors: [tensorOf('g', [CHANNELS, 1, 3, 3])],
  },
  'a transposed convolution': {
    nodes: [node('ConvTranspose', ['c', 'g'], 'p', [makeInts('strides', [2, 2])], 'up'), node('Relu', ['p'], 'f')],
    tensors: [planted('g', [CHANNELS, 8, 2, 2], 51)],
    channels: 8,
  },
  'Resize to the nearest': {
    nodes: [node('Resize', ['c', '', 'scales'], 'f', [makeString('mode', 'nearest')])],
    tensors: [floatTensor('scales', [4], Float32Array.of(1, 1, 2, 2))],
  },
  'Resize in between': {
    nodes: [node('Resize', ['c', '', 'scales'], 'f', [makeString('mode', 'linear')])],
    tensors: [floatTensor('scales', [4], Float32Array.of(1, 1, 2, 2))],
  },
  attention: attention(false),
  'attention with a mask of infinities': attention(true),
  'weights behind a Cast': {
    nodes: [node('Relu', ['c'], 'f')],
    last: {
      nodes: [node('Cast', ['wh'], 'wf', [makeInt('to', DataType.FLOAT)]), conv('wf')],
      tensors: [tensorIn(DataType.FLOAT16, { ...behind, name: 'wh' })],
    },
  },
  'weights behind a Transpose and an Identity': {
    nodes: [node('Relu', ['c'], 'f')],
    last: {
      nodes: [
        node('Identity', ['turned'], 'i'),
        node('Transpose', ['i'], 'wt', [makeInts('perm', [1, 0, 2, 3])]),
        conv('wt'),
      ],
      tensors: [planted('turned', [CHANNELS, CHANNELS, 3, 3], 35)],
    },
  },
  Elu: { nodes: [node('Elu', ['c'], 'f', [makeFloat('alpha', 0.7)])] },
};

function network({ nodes, tensors = [], channels = CHANNELS, last }: Form) {
  const plain = { nodes: [conv('w1')], tensors: [planted('w1', [CHANNELS, channels, 3, 3], 31)] };
  const end = last ?? plain;
  return proto({
    input: [6, 8, 8],
    tensors: [
      planted('w0', [CHANNELS, 6, 3, 3], 11),
      tensorOf('b0', [CHANNELS]),
      ...[...tensors, ...end.tensors],
      tensorOf('wy', [CHANNELS, 5]),
      tensorOf('by', [5]),
    ],
    nodes: [
      node('Conv', ['x', 'w0', 'b0'], 'c', same, 'before'),
      ...nodes,
      ...end.nodes,
      node('Relu', ['e'], 'r'),
      node('MaxPool', ['r'], 'p4', half),
      node('GlobalAveragePool', ['p4'], 'g1'),
      node('Flatten', ['g1'], 'flat'),
      node('Gemm', ['flat', 'wy', 'by'], 'y', [], 'last'),
    ],
  });
}

describe('a job with distillation', () => {
  it.each(Object.entries(FORMS))('takes %s', async (_, form) => {
    const directory = scratch();
    const calibration = join(directory, 'calibration.npz');
    const data = noise(128 * 6 * 64, 3).map((v) => 2 * v);
    await writeNpz(calibration, { x: { dims: [128, 6, 8, 8], data } });
    const files = { model: writeProto(network(form), directory), calibration, evaluation: calibration };
    const method = { max_iterations: 4, samples: 600, distillation_passes: 4 };
    const given = { target: { parameter_ratio: 1.3 }, method, benchmark: { batch_sizes: [1] } };
    const { layers, metrics, verdict } = await compressLocally({
      ...localOptions(files, join(directory, 'out'), given),
      evaluation: null,
    });
    expect(verdict.passed).toBe(true);
    expect(layers.some(({ decision }) => decision === 'compressed')).toBe(true);
    expect(metrics.measured_on?.data).toBe('held_out');
    expect(metrics.fidelity.relative_error).toBeLessThan(0.2);
    // Gradients were computed; whether they help is for the held-out samples to say.
    expect(metrics.distillation?.passes).toBe(4);
    const model = await loadModel(join(directory, 'out', 'model.onnx'), { directory, limits: LIMITS });
    const runner = await Runner.open(model, { threads: 1 });
    expect([...((await runner.run(batchOf([6, 8, 8]))).get('y')?.data ?? [])].every(Number.isFinite)).toBe(true);
    await runner.release();
  });
});
