import type { StoredTensor } from '../io/weights.js';
import type { Ref, Shape, Target, Weights } from '../write/target.js';

type Attributes = Record<string, object>;

const s = (text: string) => ({ s: Buffer.from(text).toString('base64') });
const texts = (...all: string[]) => ({ list: { s: all.map((one) => s(one).s) } });
const ints = (...all: number[]) => ({ list: { i: all.map(String) } });
const int = (i: number) => ({ i: String(i) });
const flag = (b: boolean) => ({ b });
const FLOAT = { type: 'DT_FLOAT' };
const NHWC = s('NHWC');
const TYPES = { float32: 'DT_FLOAT', int32: 'DT_INT32', bool: 'DT_BOOL' } as const;
const RELUS = { relu: 'Relu', relu6: 'Relu6', linear: null } as const;

/** Writes the nodes of a graph-model. */
export class GraphTarget implements Target {
  readonly nodes: object[] = [];
  readonly weights = new Map<string, Weights>();
  readonly ports: { inputs: Record<string, object>; outputs: Record<string, object> } = { inputs: {}, outputs: {} };
  private readonly taken = new Set<string>();
  private readonly kept = new Map<StoredTensor['data'], { tensor: Weights; name: string }[]>();

  constructor(reserved: readonly string[]) {
    for (const name of reserved) this.taken.add(name);
  }

  /** Of characters that node names may have. */
  private fresh(name: string): string {
    const base = name.replace(/[^A-Za-z0-9_.\\/-]/g, '_').replace(/^[^A-Za-z0-9_.]/, '_') || 'node';
    let free = base;
    for (let n = 1; this.taken.has(free); n++) free = `${base}_${String(n)}`;
    this.taken.add(free);
    return free;
  }

  private node(name: string, op: string, input: (Ref | Weights)[], attributes: Attributes): Ref {
    const own = this.fresh(name);
    const inputs = input.map((one, i) =>
      typeof one === 'string' ? one : this.constant(`${own}/input_${String(i)}`, one),
    );
    this.nodes.push({ name: own, op, input: inputs, attr: attributes });
    return own;
  }

  private constant(name: string, tensor: Weights): Ref {
    const known = this.kept.get(tensor.data) ?? [];
    const before = known.find((other) => String(other.tensor.dims) === String(tensor.dims));
    if (before !== undefined) return before.name;
    const own = this.fresh(name);
    known.push({ tensor, name: own });
    this.kept.set(tensor.data, known);
    this.nodes.push({ name: own, op: 'Const', attr: { dtype: { type: TYPES[tensor.type] } } });
    this.weights.set(own, tensor);
    return own;
  }

  private list(values: readonly number[], dims: number[] = [values.length]): Weights {
    return { dims, type: 'int32', data: Int32Array.from(values), coding: null };
  }

  private number(value: number): Weights {
    return { dims: [], type: 'float32', data: Float32Array.of(value), coding: null };
  }

  input(name: string, shape: Shape, type: StoredTensor['type']): Ref {
    const dim = shape.map((d) => ({ size: String(d ?? -1) }));
    this.nodes.push({ name, op: 'Placeholder', attr: { dtype: { type: TYPES[type] }, shape: { shape: { dim } } } });
    this.ports.inputs[name] = { name: `${name}:0`, dtype: TYPES[type], tensorShape: { dim } };
    return name;
  }

  output(name: string, x: Ref, type: StoredTensor['type']): void {
    this.nodes.push({ name, op: 'Identity', input: [x], attr: { T: { type: TYPES[type] } } });
    this.ports.outputs[name] = { name: `${name}:0`, dtype: TYPES[type] };
  }

  convolution(
    name: string,
    x: Ref,
    { kernel, bias, strides, dilations, padding, kind, activation }: Parameters<Target['convolution']>[2],
    shape: Shape,
  ): Ref {
    if (kernel.dims.length === 3)
      return this.line(name, x, { kernel, bias, strides, dilations, padding, kind, activation }, shape);
    const window = {
      T: FLOAT,
      data_format: NHWC,
      padding: s(padding.toUpperCase()),
      strides: ints(1, ...strides, 1),
      dilations: ints(1, ...dilations, 1),
    };
    if (kind === 'transposed') {
      const made = this.node(name, 'Conv2DBackpropInput', [this.shape(name, x, shape), kernel, x], window);
      return bias === null ? made : this.node(`${name}/bias`, 'BiasAdd', [made, bias], { T: FLOAT, data_format: NHWC });
    }
    const plain = kind === 'plain';
    if (bias === null && activation === 'linear')
      return this.node(name, plain ? 'Conv2D' : 'DepthwiseConv2dNative', [x, kernel], window);
    // Fused operators take a bias.
    const added = bias ?? {
      dims: [shape.at(-1) ?? 0],
      type: 'float32' as const,
      data: new Float32Array(shape.at(-1) ?? 0),
      coding: null,
    };
    const relu = RELUS[activation];
    const fused = {
      fused_ops: texts('BiasAdd', ...(relu === null ? [] : [relu])),
      num_args: int(1),
      epsilon: { f: 0 },
    };
    return this.node(name, plain ? '_FusedConv2D' : 'FusedDepthwiseConv2dNative', [x, kernel, added], {
      ...window,
      ...fused,
    });
  }

  /** Of one spatial axis, as a picture of one row. */
  private line(name: string, x: Ref, of: Parameters<Target['convolution']>[2], shape: Shape): Ref {
    const wide = this.node(`${name}/row`, 'ExpandDims', [x, this.list([1], [])], { T: FLOAT });
    const [taps = 1, inputs = 1, outputs = 1] = of.kernel.dims;
    const kernel = { ...of.kernel, dims: [1, taps, inputs, outputs] };
    const made = this.convolution(
      name,
      wide,
      { ...of, kernel, strides: [1, ...of.strides], dilations: [1, ...of.dilations] },
      [shape[0] ?? null, 1, ...shape.slice(1)],
    );
    return this.node(`${name}/unrow`, 'Squeeze', [made], { T: FLOAT, squeeze_dims: ints(1) });
  }

  /** The shape of a result; the batch comes from `x` where it is not fixed. */
  private shape(name: string, x: Ref, shape: Shape): Ref | Weights {
    if (shape.every((d) => d !== null)) return this.list(shape.map((d) => d ?? -1));
    const whole = this.node(`${name}/shape`, 'Shape', [x], { T: FLOAT, out_type: { type: 'DT_INT32' } });
    const batch = this.node(`${name}/batch`, 'Slice', [whole, this.list([0]), this.list([1])], {
      T: { type: 'DT_INT32' },
    });
    const rest = this.list(shape.slice(1).map((d) => d ?? -1));
    return this.node(`${name}/size`, 'ConcatV2', [batch, rest, this.list([0], [])], {
      T: { type: 'DT_INT32' },
      N: int(2),
    });
  }

  pool(name: string, x: Ref, { kind, size, strides, padding }: Parameters<Target['pool']>[2]): Ref {
    const line = size.length === 1;
    const from = line ? this.node(`${name}/row`, 'ExpandDims', [x, this.list([1], [])], { T: FLOAT }) : x;
    const full = (values: number[]) => ints(1, ...(line ? [1] : []), ...values, 1);
    const made = this.node(name, kind === 'max' ? 'MaxPool' : 'AvgPool', [from], {
      T: FLOAT,
      data_format: NHWC,
      padding: s(padding.toUpperCase()),
      ksize: full(size),
      strides: full(strides),
    });
    return line ? this.node(`${name}/unrow`, 'Squeeze', [made], { T: FLOAT, squeeze_dims: ints(1) }) : made;
  }

  dense(name: string, x: Ref, { kernel, bias, rank, activation }: Parameters<Target['dense']>[2]): Ref {
    const sides = { T: FLOAT, transpose_a: flag(false), transpose_b: flag(false) };
    if (rank !== 2) {
      const made = this.node(name, 'BatchMatMulV2', [x, kernel], { T: FLOAT, adj_x: flag(false), adj_y: flag(false) });
      const added = bias === null ? made : this.node(`${name}/bias`, 'AddV2', [made, bias], { T: FLOAT });
      return this.relu(name, activation, added);
    }
    if (bias === null) return this.relu(name, activation, this.node(name, 'MatMul', [x, kernel], sides));
    const relu = RELUS[activation];
    return this.node(name, '_FusedMatMul', [x, kernel, bias], {
      ...sides,
      fused_ops: texts('BiasAdd', ...(relu === null ? [] : [relu])),
      num_args: int(1),
      epsilon: { f: 0 },
    });
  }

  private relu(name: string, activation: keyof typeof RELUS, x: Ref): Ref {
    const relu = RELUS[activation];
    return relu === null ? x : this.node(`${name}/${relu}`, relu, [x], { T: FLOAT });
  }

  product(name: string, x: Ref, y: Ref | Weights): Ref {
    return this.node(name, 'BatchMatMulV2', [x, y], { T: FLOAT, adj_x: flag(false), adj_y: flag(false) });
  }

  normalization(
    name: string,
    x: Ref,
    { scale, shift, mean, variance, epsilon }: Parameters<Target['normalization']>[2],
  ): Ref {
    return this.node(name, 'FusedBatchNormV3', [x, scale, shift, mean, variance], {
      T: FLOAT,
      U: FLOAT,
      data_format: NHWC,
      epsilon: { f: epsilon },
      is_training: flag(false),
    });
  }

  unary(name: string, operator: string, x: Ref, alpha?: number): Ref {
    if (operator === 'HardSigmoid' || operator === 'HardSwish') {
      const slope = operator === 'HardSigmoid' ? 0.2 : 1 / 6;
      const line = this.binary(`${name}/line`, 'AddV2', [
        this.binary(`${name}/scaled`, 'Mul', [x, this.number(slope)]),
        this.number(0.5),
      ]);
      const gate = this.clip(`${name}/gate`, line, 0, 1);
      return operator === 'HardSigmoid' ? gate : this.binary(name, 'Mul', [x, gate]);
    }
    return this.node(name, operator, [x], { T: FLOAT, ...(alpha === undefined ? {} : { alpha: { f: alpha } }) });
  }

  clip(name: string, x: Ref, low: number | null, high: number | null): Ref {
    if (low === 0 && high === 6) return this.node(name, 'Relu6', [x], { T: FLOAT });
    return this.node(name, 'ClipByValue', [x, this.number(low ?? -3.4e38), this.number(high ?? 3.4e38)], { T: FLOAT });
  }

  prelu(name: string, x: Ref, slope: Weights): Ref {
    return this.node(name, 'Prelu', [x, slope], { T: FLOAT });
  }

  binary(name: string, operator: string, inputs: [Ref | Weights, Ref | Weights]): Ref {
    return this.node(name, operator, inputs, { T: FLOAT });
  }

  concat(name: string, inputs: Ref[], axis: number): Ref {
    return this.node(name, 'ConcatV2', [...inputs, this.list([axis], [])], { T: FLOAT, N: int(inputs.length) });
  }

  transpose(name: string, x: Ref, perm: number[]): Ref {
    return this.node(name, 'Transpose', [x, this.list(perm)], { T: FLOAT });
  }

  reshape(name: string, x: Ref, shape: Shape): Ref {
    return this.node(name, 'Reshape', [x, this.list(shape.map((d) => d ?? -1))], { T: FLOAT });
  }

  reduce(name: string, operator: string, x: Ref, { axes, keep }: Parameters<Target['reduce']>[3]): Ref {
    return this.node(name, operator, [x, this.list(axes)], { T: FLOAT, keep_dims: flag(keep) });
  }

  pad(name: string, x: Ref, { pads, mode, value }: Parameters<Target['pad']>[2]): Ref {
    const amounts = this.list(pads.flat(), [pads.length, 2]);
    if (mode !== 'constant')
      return this.node(name, 'MirrorPad', [x, amounts], { T: FLOAT, mode: s(mode === 'reflect' ? 'REFLECT' : mode) });
    return value === 0
      ? this.node(name, 'Pad', [x, amounts], { T: FLOAT })
      : this.node(name, 'PadV2', [x, amounts, this.number(value)], { T: FLOAT });
  }

  slice(name: string, x: Ref, { begin, end, step }: Parameters<Target['slice']>[2]): Ref {
    const mask = end.reduce<number>((bits, e, i) => (e === null ? bits | (1 << i) : bits), 0);
    const first = begin.reduce<number>((bits, b, i) => (b === 0 ? bits | (1 << i) : bits), 0);
    return this.node(name, 'StridedSlice', [x, this.list(begin), this.list(end.map((e) => e ?? 0)), this.list(step)], {
      T: FLOAT,
      begin_mask: int(first),
      end_mask: int(mask),
    });
  }

  resize(
    name: string,
    x: Ref,
    { mode, sizes, scales, alignCorners, halfPixelCenters }: Parameters<Target['resize']>[2],
  ): Ref {
    const attributes = { T: FLOAT, align_corners: flag(alignCorners), half_pixel_centers: flag(halfPixelCenters) };
    const op = mode === 'nearest' ? 'ResizeNearestNeighbor' : 'ResizeBilinear';
    if (sizes.every((d) => d !== null))
      return this.node(name, op, [x, this.list(sizes.map((d) => d ?? 0))], attributes);
    const whole = this.node(`${name}/shape`, 'Shape', [x], { T: FLOAT, out_type: { type: 'DT_INT32' } });
    const part = this.node(`${name}/part`, 'Slice', [whole, this.list([1]), this.list([2])], {
      T: { type: 'DT_INT32' },
    });
    const size = this.node(`${name}/size`, 'Mul', [part, this.list((scales ?? [1, 1]).map(Math.round))], {
      T: { type: 'DT_INT32' },
    });
    return this.node(name, op, [x, size], attributes);
  }

  gather(name: string, x: Ref, { indices, axis }: Parameters<Target['gather']>[2]): Ref {
    return this.node(name, 'GatherV2', [x, indices, this.list([axis], [])], { batch_dims: int(0), Tparams: FLOAT });
  }

  split(name: string, x: Ref, { axis, sizes }: Parameters<Target['split']>[2]): Ref[] {
    const own = this.node(name, 'SplitV', [x, this.list(sizes), this.list([axis], [])], {
      T: FLOAT,
      num_split: int(sizes.length),
    });
    return sizes.map((_, i) => (i === 0 ? own : `${own}:${String(i)}`));
  }

  operator(name: string, operator: string, inputs: (Ref | Weights)[], attributes: Attributes): Ref {
    const [only] = inputs;
    if (operator === 'Const' && only !== undefined && typeof only !== 'string') return this.constant(name, only);
    return this.node(name, operator, inputs, { T: FLOAT, ...attributes });
  }
}
