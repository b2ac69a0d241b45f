import type { Factors, LowRank } from '../layer.js';
import { PATTERN, type SparsePart } from '../sparse/index.js';
import { makeInt, makeInts, makeNode } from '../ir/attributes.js';
import { outputsFirst, transpose, type DenseWeights } from '../graph/dense-weights.js';
import type { NameSource } from '../graph/graph-index.js';
import type { AttributeProto, NodeProto } from '../ir/messages.js';
import { isOperator } from '../ir/operator.js';
import { lowRankBranch } from './low-rank/index.js';
import { sparseBranch } from './sparse/index.js';
import { checkKept, others, pickRows } from './sparse/kept.js';
import type { MadeTensors } from './made-tensors.js';
import type { WeightedNode } from '../graph/weighted-nodes.js';

interface LinearMap {
  input: string;
  output: string;
  /** [rows, channels * taps], or [rows, channels] without the kernel. */
  weights: Float32Array;
  /** Of the input. */
  channels: number;
  /** [rows] */
  bias: Float32Array | null;
  /** With the layer's kernel, else 1x1. */
  spatial: boolean;
}

/** Makes the nodes of one replaced layer; adds their tensors to the graph's. */
export class LayerBuilder {
  private readonly prefix: string;
  /** Whose the tensors are: of several uses the first. */
  private readonly owner: string;

  constructor(
    readonly layer: WeightedNode,
    private readonly names: NameSource,
    private readonly tensors: MadeTensors,
    private readonly opset: number,
  ) {
    this.prefix = layer.name;
    this.owner = layer.first ?? layer.name;
  }

  dense({ weights, bias }: DenseWeights): NodeProto[] {
    const { channels, output, input } = this.layer;
    return this.linear('dense', { input, output, weights, channels, bias, spatial: true });
  }

  factored({ lowRank, sparse, bias }: Factors): NodeProto[] {
    const { output } = this.layer;
    if (lowRank !== null && sparse !== null && PATTERN[sparse.pattern].stores === 'rows')
      return this.besideRows(lowRank, sparse, bias);
    const nodes: NodeProto[] = [];
    const both = lowRank !== null && sparse !== null;
    const target = (name: string): string => (both ? this.fresh(name) : output);
    const terms: string[] = [];
    if (lowRank !== null) {
      const to = target('low_rank_sum');
      terms.push(to);
      nodes.push(...lowRankBranch(this, lowRank, bias, to));
    }
    if (sparse !== null) {
      const to = target('sparse_sum');
      terms.push(to);
      nodes.push(...sparseBranch(this, sparse, both ? null : bias, to));
    }
    if (both) nodes.push(makeNode('Add', this.fresh('sum'), terms, [output]));
    return nodes;
  }

  /** Whole rows of the sparse part need no sum: the two branches are put together and brought into order. */
  private besideRows(lowRank: LowRank, { kept, weights }: SparsePart, bias: Float32Array): NodeProto[] {
    const { m, channels, input, output } = this.layer;
    checkKept(this.layer.name, kept, m, 'filters');
    this.check(weights.length, kept.length * channels * this.taps, 'sparse weights');
    const rest = others(kept, m);
    const [low, rows, joined] = [this.fresh('low_rank_sum'), this.fresh('filters'), this.fresh('joined')];
    const p = pickRows(lowRank.p, m, rest);
    const own = pickRows(bias, m, rest);
    const nodes = lowRankBranch(this, { ...lowRank, p }, own, low);
    const linear = this.linear('sparse', {
      input,
      output: rows,
      weights,
      channels,
      bias: pickRows(bias, m, kept),
      spatial: true,
    });
    const order = new Array<number>(m);
    kept.forEach((row, i) => (order[row] = i));
    rest.forEach((row, i) => (order[row] = kept.length + i));
    const axis = makeInt('axis', this.channelAxis);
    return [
      ...nodes,
      ...linear,
      makeNode('Concat', this.fresh('join'), [rows, low], [joined], [axis]),
      this.gather(joined, order, output),
    ];
  }

  get taps(): number {
    return this.layer.kernel.reduce((a, b) => a * b, 1);
  }

  get isTransposed(): boolean {
    return isOperator(this.layer.node, 'ConvTranspose');
  }

  fresh(part: string): string {
    return this.names.fresh(`${this.prefix}/${part}`);
  }

  check(length: number, expected: number, what: string): void {
    if (length !== expected) {
      throw new RangeError(`${this.layer.name}: ${what} has ${String(length)} values instead of ${String(expected)}`);
    }
  }

  tensor(part: string, dims: number[], data: Float32Array): string {
    return this.tensors.floats(`${this.owner}/${part}`, dims, data);
  }

  /** A list of numbers, such as indices or a shape. */
  integers(part: string, data: number[]): string {
    return this.tensors.integers(`${this.owner}/${part}`, data);
  }

  /** Channels of `input` in the given order. */
  gather(input: string, channels: number[], output: string): NodeProto {
    const indices = this.integers('kept_channels', channels);
    return makeNode('Gather', this.fresh('gather'), [input, indices], [output], [makeInt('axis', this.channelAxis)]);
  }

  get channelAxis(): number {
    return this.layer.op === 'MatMul' ? -1 : 1;
  }

  /** One linear map from `channels` inputs, in the operator of the layer. `spatial`: with its kernel, else 1x1. */
  linear(part: string, { input, output, weights, channels, bias, spatial }: LinearMap): NodeProto[] {
    const { op, kernel } = this.layer;
    const d = channels * (spatial ? this.taps : 1);
    const rows = weights.length / d;
    const name = this.fresh(part);
    if (bias !== null) this.check(bias.length, rows, 'bias');
    // Gemm needs its bias before opset 11.
    if (op === 'MatMul' || (op === 'Gemm' && bias === null && this.opset < 11)) {
      // A product with more than two dimensions has no Gemm: weights as columns, and the bias in an Add.
      const columns = this.tensor(`${part}_weight`, [d, rows], transpose(weights, rows, d));
      if (bias === null) return [makeNode('MatMul', name, [input, columns], [output])];
      const product = this.fresh(`${part}_product`);
      const row = this.tensor(`${part}_bias`, [bias.length], bias);
      return [
        makeNode('MatMul', name, [input, columns], [product]),
        makeNode('Add', this.fresh(`${part}_add`), [product, row], [output]),
      ];
    }
    const transposed = spatial && this.isTransposed;
    const outer = transposed ? [channels, rows] : [rows, channels];
    const dims = op === 'Conv' ? [...outer, ...(spatial ? kernel : kernel.map(() => 1))] : [rows, d];
    const own = transposed ? outputsFirst(weights, [rows, channels, ...kernel]) : weights;
    const inputs = [input, this.tensor(`${part}_weight`, dims, own)];
    if (bias !== null) inputs.push(this.tensor(`${part}_bias`, [bias.length], bias));
    if (op === 'Gemm') return [makeNode('Gemm', name, inputs, [output], [makeInt('transB', 1)])];
    if (!spatial)
      return [
        makeNode(
          'Conv',
          name,
          inputs,
          [output],
          [
            makeInts(
              'kernel_shape',
              kernel.map(() => 1),
            ),
          ],
        ),
      ];
    return [makeNode(transposed ? 'ConvTranspose' : 'Conv', name, inputs, [output], this.geometry())];
  }

  /** Attributes of a convolution with the layer's kernel. */
  geometry(): AttributeProto[] {
    const rest = this.layer.node.attribute.filter((a) => a.name !== 'group' && a.name !== 'kernel_shape');
    return [makeInts('kernel_shape', this.layer.kernel), ...rest];
  }
}
