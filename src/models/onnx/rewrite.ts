import type { Factors, LowRank } from '../layer.js';
import { makeInt, makeInts, makeNode } from './attributes.js';
import { transpose, type DenseWeights } from './dense-weights.js';
import { NameSource } from './graph-index.js';
import { withFields, type NodeProto, type TensorProto } from './messages.js';
import type { OnnxModel } from './model.js';
import { tidy } from './prepare.js';
import { floatTensor, int64Tensor } from './tensors.js';
import { weightedNodes, type WeightedNode } from './weighted-nodes.js';

/** New dense weights, or a low-rank plus channel-sparse pair of branches. */
export type Replacement = DenseWeights | Factors;

/**
 * A copy of a prepared model with some layers replaced; everything else is shared with `model`.
 * @param replacements by layer name
 */
export function rewrite(model: OnnxModel, replacements: ReadonlyMap<string, Replacement>): OnnxModel {
  const layers = new Map(weightedNodes(model).map((layer) => [layer.name, layer]));
  const names = new NameSource(model.graph);
  const changes = new Map<NodeProto, NodeProto[]>();
  const initializer: TensorProto[] = [...model.graph.initializer];
  for (const [name, replacement] of replacements) {
    const layer = layers.get(name);
    if (layer === undefined || layer.blocked !== null)
      throw new RangeError(`${name} is not a layer that can be replaced`);
    if ('lowRank' in replacement && replacement.lowRank === null && replacement.sparse === null) continue;
    const builder = new LayerBuilder(layer, names, initializer, model.opset);
    changes.set(layer.node, 'lowRank' in replacement ? builder.factored(replacement) : builder.dense(replacement));
    if (layer.add !== null) changes.set(layer.add, []);
  }
  const node = model.graph.node.flatMap((old) => changes.get(old) ?? [old]);
  const graph = withFields(model.graph, { node, initializer });
  tidy(graph);
  return { ...model, graph, proto: withFields(model.proto, { graph }) };
}

/** Makes the nodes of one replaced layer; adds their tensors to the graph's. */
class LayerBuilder {
  private readonly prefix: string;

  constructor(
    private readonly layer: WeightedNode,
    private readonly names: NameSource,
    private readonly initializer: TensorProto[],
    private readonly opset: number,
  ) {
    this.prefix = layer.name;
  }

  dense({ weights, bias }: DenseWeights): NodeProto[] {
    const { channels, output, input } = this.layer;
    return this.linear('dense', input, output, weights, channels, bias, true);
  }

  factored({ lowRank, sparse, bias }: Factors): NodeProto[] {
    const { channels, output, input, m } = this.layer;
    const nodes: NodeProto[] = [];
    const both = lowRank !== null && sparse !== null;
    const target = (name: string): string => (both ? this.fresh(name) : output);
    const terms: string[] = [];
    if (lowRank !== null) {
      const to = target('low_rank_sum');
      terms.push(to);
      nodes.push(...(lowRank.shape === 'spatial' ? this.spatial(lowRank, bias, to) : this.lowRank(lowRank, bias, to)));
    }
    if (sparse !== null) {
      const to = target('sparse_sum');
      terms.push(to);
      this.check(sparse.weights.length, m * sparse.channels.length * this.taps, 'sparse weights');
      const from = sparse.channels.length === channels ? input : this.gather(sparse.channels, nodes);
      nodes.push(...this.linear('sparse', from, to, sparse.weights, sparse.channels.length, both ? null : bias, true));
    }
    if (both) nodes.push(makeNode('Add', this.fresh('sum'), terms, [output]));
    return nodes;
  }

  /** k x k and 1x1, in front of them another 1x1 for `tucker`. */
  private lowRank({ shape, rank, inner, basis, q, p }: LowRank, bias: Float32Array, to: string): NodeProto[] {
    const { channels, input, m } = this.layer;
    const nodes: NodeProto[] = [];
    const width = shape === 'tucker' ? inner : channels;
    let from = input;
    if (shape === 'tucker') {
      if (basis === null) throw new RangeError(`${this.layer.name}: a tucker part without its basis`);
      this.check(basis.length, inner * channels, 'basis');
      from = this.fresh('low_rank_inner');
      nodes.push(...this.linear('low_rank_basis', input, from, basis, channels, null, false));
    }
    this.check(q.length, rank * width * this.taps, 'q');
    this.check(p.length, m * rank, 'p');
    const between = this.fresh('low_rank');
    nodes.push(...this.linear('low_rank_q', from, between, q, width, null, true));
    nodes.push(...this.linear('low_rank_p', between, to, p, rank, bias, false));
    return nodes;
  }

  /** k x 1, then 1 x k; each takes its axis' stride, dilation and padding. */
  private spatial({ rank, q, p }: LowRank, bias: Float32Array, to: string): NodeProto[] {
    const { channels, input, m, kernel, strides, dilations, pads, node } = this.layer;
    const [kh = 1, kw = 1] = kernel;
    const [top = 0, left = 0, bottom = 0, right = 0] = pads ?? [];
    // auto_pad works axis by axis.
    const automatic = pads === null ? node.attribute.filter((a) => a.name === 'auto_pad') : null;
    this.check(q.length, rank * channels * kh, 'q');
    this.check(p.length, m * rank * kw, 'p');
    const conv = (part: string, inputs: string[], output: string, geometry: Record<string, number[]>) =>
      makeNode(
        'Conv',
        this.fresh(part),
        inputs,
        [output],
        [
          ...Object.entries(geometry)
            .filter(([name]) => name !== 'pads' || automatic === null)
            .map(([name, values]) => makeInts(name, values)),
          ...(automatic ?? []),
        ],
      );
    const between = this.fresh('low_rank');
    return [
      conv('low_rank_q', [input, this.tensor('low_rank_q_weight', [rank, channels, kh, 1], q)], between, {
        kernel_shape: [kh, 1],
        strides: [strides[0] ?? 1, 1],
        dilations: [dilations[0] ?? 1, 1],
        pads: [top, 0, bottom, 0],
      }),
      conv(
        'low_rank_p',
        [between, this.tensor('low_rank_p_weight', [m, rank, 1, kw], p), this.tensor('low_rank_p_bias', [m], bias)],
        to,
        {
          kernel_shape: [1, kw],
          strides: [1, strides[1] ?? 1],
          dilations: [1, dilations[1] ?? 1],
          pads: [0, left, 0, right],
        },
      ),
    ];
  }

  private get taps(): number {
    return this.layer.kernel.reduce((a, b) => a * b, 1);
  }

  private fresh(part: string): string {
    return this.names.fresh(`${this.prefix}/${part}`);
  }

  private check(length: number, expected: number, what: string): void {
    if (length !== expected) {
      throw new RangeError(`${this.layer.name}: ${what} has ${String(length)} values instead of ${String(expected)}`);
    }
  }

  private tensor(part: string, dims: number[], data: Float32Array): string {
    const name = this.fresh(part);
    this.initializer.push(floatTensor(name, dims, data));
    return name;
  }

  private gather(channels: number[], nodes: NodeProto[]): string {
    const total = this.layer.channels;
    if (
      channels.length === 0 ||
      channels.some((c, i) => !(c >= 0 && c < total) || (i > 0 && c <= (channels[i - 1] ?? 0)))
    ) {
      throw new RangeError(`${this.layer.name}: kept channels must ascend within 0 to ${String(total - 1)}`);
    }
    const indices = this.fresh('kept_channels');
    this.initializer.push(int64Tensor(indices, [channels.length], channels));
    const output = this.fresh('kept');
    const axis = this.layer.op === 'MatMul' ? -1 : 1;
    nodes.push(
      makeNode('Gather', this.fresh('gather'), [this.layer.input, indices], [output], [makeInt('axis', axis)]),
    );
    return output;
  }

  /** One linear map from `channels` inputs, in the operator of the layer. `spatial`: with its kernel, else 1x1. */
  private linear(
    part: string,
    input: string,
    output: string,
    weights: Float32Array,
    channels: number,
    bias: Float32Array | null,
    spatial: boolean,
  ): NodeProto[] {
    const { op, node, kernel } = this.layer;
    const d = channels * (spatial ? this.taps : 1);
    const rows = weights.length / d;
    const name = this.fresh(part);
    if (bias !== null) this.check(bias.length, this.layer.m, 'bias');
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
    const inputs = [
      input,
      this.tensor(
        `${part}_weight`,
        [rows, ...(op === 'Conv' ? [channels, ...(spatial ? kernel : kernel.map(() => 1))] : [d])],
        weights,
      ),
    ];
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
    const geometry = node.attribute.filter((a) => a.name !== 'group' && a.name !== 'kernel_shape');
    return [makeNode('Conv', name, inputs, [output], [makeInts('kernel_shape', kernel), ...geometry])];
  }
}
