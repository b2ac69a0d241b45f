/**
 * A residual network with bottlenecks, as torchvision defines ResNet-50 (He et al. 2015, arXiv 1512.03385; the stride
 * in the 3x3 convolution), at any width, with random weights and in the form in which tf2onnx writes networks: channels
 * last outside, a Transpose before and behind what computes with channels first. For the time of jobs; its answers mean
 * nothing.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';
import { writeNpz } from '../../src/datasets/index.js';
import { makeInt, makeInts, makeNode } from '../../src/models/ir/attributes.js';
import { encodeModel } from '../../src/models/ir/codec.js';
import { DataType, type NodeProto, type TensorProto, type ValueInfoProto } from '../../src/models/ir/messages.js';
import { floatTensor } from '../../src/models/ir/tensors.js';

export interface Residual {
  /** Bottlenecks of every stage. */
  blocks: readonly number[];
  /** Channels behind the first convolution; torchvision has 64. */
  width: number;
  side: number;
  classes: number;
  /** Transposes around every convolution instead of around the network. */
  everywhere: boolean;
  /** Two 3x3 convolutions a block and a stem that keeps the size, as for CIFAR (the article's section 4.2). */
  basic: boolean;
}

export const THIN_RESNET_50: Residual = {
  blocks: [3, 4, 6, 3],
  width: 32,
  side: 224,
  classes: 10,
  everywhere: false,
  basic: false,
};
export const RESNET_56: Residual = {
  blocks: [9, 9, 9],
  width: 16,
  side: 32,
  classes: 10,
  everywhere: false,
  basic: true,
};

const COLOURS = 3;
const EXPANSION = 4;
const TO_FIRST = [0, 3, 1, 2];
const TO_LAST = [0, 2, 3, 1];

/** Weights whose singular values fall, so that there is something to compress: each filter is a mixture of a few. */
function weightsOf(dims: readonly number[], random: () => number): Float32Array {
  const [m = 1, ...rest] = dims;
  const d = rest.reduce((a, b) => a * b, 1);
  const mixed = Math.max(1, Math.floor(Math.min(m, d) / 4));
  const [left, right] = [normals(m * mixed, random), normals(mixed * d, random)];
  const own = normals(m * d, random);
  const scale = Math.sqrt(2 / d);
  const weights = new Float32Array(m * d);
  for (let i = 0; i < m; i++) {
    for (let r = 0; r < mixed; r++) {
      const weight = (left[i * mixed + r] ?? 0) / Math.sqrt(mixed);
      for (let j = 0; j < d; j++) weights[i * d + j] = (weights[i * d + j] ?? 0) + weight * (right[r * d + j] ?? 0);
    }
    for (let j = 0; j < d; j++) weights[i * d + j] = scale * ((weights[i * d + j] ?? 0) + 0.2 * (own[i * d + j] ?? 0));
  }
  return weights;
}

/** The graph, node by node. */
class Builder {
  readonly nodes: NodeProto[] = [];
  readonly tensors: TensorProto[] = [];
  private readonly random = seededRandom(50);

  constructor(private readonly everywhere: boolean) {}

  node(op: string, inputs: string[], output: string, attributes: NodeProto['attribute'] = []): string {
    this.nodes.push(makeNode(op, output, inputs, [output], attributes));
    return output;
  }

  tensor(name: string, dims: number[], data: Float32Array): string {
    this.tensors.push(floatTensor(name, dims, data));
    return name;
  }

  transpose(input: string, perm: number[]): string {
    return this.node('Transpose', [input], `${input}/t${perm.join('')}`, [makeInts('perm', perm)]);
  }

  /** A convolution with its normalization folded in; the last of a block starts small, as trained ones are. */
  convolution(
    input: string,
    output: string,
    [m, channels, kernel, stride]: [number, number, number, number],
    scale = 1,
  ) {
    const data = weightsOf([m, channels, kernel, kernel], this.random).map((value) => scale * value);
    const weights = this.tensor(`${output}/w`, [m, channels, kernel, kernel], data);
    const bias = this.tensor(
      `${output}/b`,
      [m],
      normals(m, this.random).map((value) => 0.1 * value),
    );
    const pad = (kernel - 1) / 2;
    const attributes = [
      makeInts('kernel_shape', [kernel, kernel]),
      makeInts('strides', [stride, stride]),
      makeInts('pads', [pad, pad, pad, pad]),
    ];
    if (!this.everywhere) return this.node('Conv', [input, weights, bias], output, attributes);
    const inner = this.node('Conv', [this.transpose(input, TO_FIRST), weights, bias], `${output}/first`, attributes);
    return this.node('Transpose', [inner], output, [makeInts('perm', TO_LAST)]);
  }

  relu(input: string): string {
    return this.node('Relu', [input], `${input}/relu`);
  }
}

/** What makes the picture small before the first block. */
function stem(graph: Builder, { width, everywhere, basic }: Residual): string {
  const from = everywhere ? 'x' : graph.transpose('x', TO_FIRST);
  if (basic) return graph.relu(graph.convolution(from, 'stem', [width, COLOURS, 3, 1]));
  const at = graph.relu(graph.convolution(from, 'stem', [width, COLOURS, 7, 2]));
  const pool = [makeInts('kernel_shape', [3, 3]), makeInts('strides', [2, 2]), makeInts('pads', [1, 1, 1, 1])];
  if (!everywhere) return graph.node('MaxPool', [at], 'pool', pool);
  return graph.transpose(graph.node('MaxPool', [graph.transpose(at, TO_FIRST)], 'pool', pool), TO_LAST);
}

function graphOf(network: Residual): Builder {
  const { blocks, width, classes, everywhere, basic } = network;
  const graph = new Builder(everywhere);
  let at = stem(graph, network);
  let channels = width;
  for (const [stage, count] of blocks.entries()) {
    const inner = width * 2 ** stage;
    for (let block = 0; block < count; block++) {
      const name = `stage${String(stage + 1)}/block${String(block + 1)}`;
      const stride = block === 0 && stage > 0 ? 2 : 1;
      const outer = basic ? inner : inner * EXPANSION;
      const first = basic
        ? graph.relu(graph.convolution(at, `${name}/conv1`, [inner, channels, 3, stride]))
        : graph.relu(graph.convolution(at, `${name}/conv1`, [inner, channels, 1, 1]));
      const last = basic
        ? graph.convolution(first, `${name}/conv2`, [outer, inner, 3, 1], 0.3)
        : graph.convolution(
            graph.relu(graph.convolution(first, `${name}/conv2`, [inner, inner, 3, stride])),
            `${name}/conv3`,
            [outer, inner, 1, 1],
            0.3,
          );
      const changed = channels !== outer || stride > 1;
      const skip = changed ? graph.convolution(at, `${name}/skip`, [outer, channels, 1, stride]) : at;
      at = graph.relu(graph.node('Add', [last, skip], `${name}/sum`));
      channels = outer;
    }
  }
  const last = everywhere ? at : graph.transpose(at, TO_LAST);
  const mean = graph.node('ReduceMean', [last], 'mean', [makeInts('axes', [1, 2]), makeInt('keepdims', 0)]);
  const random = seededRandom(51);
  const weights = normals(channels * classes, random).map((value) => value / Math.sqrt(channels));
  const product = graph.node('MatMul', [mean, graph.tensor('fc/w', [channels, classes], weights)], 'fc');
  graph.node('Add', [product, graph.tensor('fc/b', [classes], new Float32Array(classes))], 'logits');
  return graph;
}

/** Soft random pictures, channels last: sums of a few waves. */
function pictures(count: number, side: number, random: () => number): Float32Array {
  const WAVES = 6;
  const data = new Float32Array(count * side * side * COLOURS);
  for (let n = 0, at = 0; n < count; n++) {
    const waves = Array.from({ length: WAVES }, () => ({
      x: (20 * (random() - 0.5)) / side,
      y: (20 * (random() - 0.5)) / side,
      phase: 2 * Math.PI * random(),
      colours: Array.from({ length: COLOURS }, () => random() - 0.5),
    }));
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++) {
        const heights = waves.map((wave) => Math.sin(2 * Math.PI * (wave.x * x + wave.y * y) + wave.phase));
        for (let c = 0; c < COLOURS; c++, at++)
          data[at] = heights.reduce((sum, height, i) => sum + height * (waves[i]?.colours[c] ?? 0), 0.1 * random());
      }
  }
  return data;
}

function port(name: string, shape: readonly number[]): ValueInfoProto {
  const dim = [{ dimParam: 'batch' }, ...shape.map((dimValue) => ({ dimValue }))];
  return { name, type: { tensorType: { elemType: DataType.FLOAT, shape: { dim } } } };
}

/** Writes model.onnx, calibration.npz and evaluation.npz. */
export async function writeResidual(
  folder: string,
  network: Residual,
  images: { calibration: number; evaluation: number },
): Promise<void> {
  const { nodes, tensors } = graphOf(network);
  const { side, classes } = network;
  const graph = {
    name: 'residual',
    node: nodes,
    initializer: tensors,
    input: [port('x', [side, side, COLOURS])],
    output: [port('logits', [classes])],
    valueInfo: [],
  };
  const opsetImport = [{ domain: '', version: 17 }];
  await writeFile(join(folder, 'model.onnx'), encodeModel({ irVersion: 8, opsetImport, producerName: 'bench', graph }));
  const random = seededRandom(52);
  for (const [name, count] of Object.entries(images)) {
    const x = { dims: [count, side, side, COLOURS], data: pictures(count, side, random) };
    await writeNpz(join(folder, `${name}.npz`), { x });
  }
}
