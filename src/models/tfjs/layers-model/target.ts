import { InputError } from '../../../errors/index.js';
import type { StoredTensor } from '../io/weights.js';
import type { Fused, Ref, Shape, Target, Weights } from '../write/target.js';

interface WrittenLayer {
  class_name: string;
  name: string;
  config: Record<string, unknown>;
  inbound_nodes: unknown[];
}

const ACTIVATIONS: Readonly<Record<string, string>> = {
  ...{ Relu: 'relu', Sigmoid: 'sigmoid', Tanh: 'tanh', Softplus: 'softplus', Softsign: 'softsign', Selu: 'selu' },
  ...{ HardSigmoid: 'hard_sigmoid' },
};
const MERGES: Readonly<Record<string, string>> = {
  AddV2: 'Add',
  Mul: 'Multiply',
  Maximum: 'Maximum',
  Minimum: 'Minimum',
};

/** Writes the layers of a layers-model. */
export class LayersTarget implements Target {
  readonly layers: WrittenLayer[] = [];
  readonly weights = new Map<string, Map<string, Weights>>();
  readonly inputs: Ref[] = [];
  readonly outputs: Ref[] = [];
  private readonly taken: Set<string>;
  /** Layers with weights, by all that makes them what they are. */
  private readonly known = new Map<string, WrittenLayer>();
  private readonly numbers = new Map<Weights['data'], number>();
  /** Calls of a layer behind its first: which, and its place among them. */
  private readonly calls = new Map<Ref, { layer: WrittenLayer; call: number }>();

  constructor(reserved: readonly string[]) {
    this.taken = new Set(reserved);
  }

  private fail(name: string, what: string): InputError {
    const detail = `${name}: ${what} has no layer in TensorFlow.js; ask for a graph-model or ONNX as the format of the output`;
    return new InputError('invalid_model', detail, {
      faults: [{ pointer: `#model/node/${name}`, detail }],
      layer: name,
    });
  }

  /** Slashes part the name of a layer from those of its weights. */
  private fresh(name: string): string {
    const base = name.replace(/[^A-Za-z0-9_.-]/g, '_') || 'layer';
    let free = base;
    for (let n = 1; this.taken.has(free); n++) free = `${base}_${String(n)}`;
    this.taken.add(free);
    return free;
  }

  private layer(
    className: string,
    { name, inputs, config }: { name: string; inputs: readonly Ref[]; config: Record<string, unknown> },
    weights: Record<string, Weights | null> = {},
  ): Ref {
    const inbound = inputs.length === 0 ? [] : [inputs.map((ref) => this.end(ref))];
    const held = new Map(
      Object.entries(weights).flatMap(([key, value]): [string, Weights][] => (value === null ? [] : [[key, value]])),
    );
    const same = this.identity(className, config, held);
    const shared = same === null ? undefined : this.known.get(same);
    if (shared !== undefined) {
      // Once more the same layer: its weights are in the file once, and training changes them for all its calls.
      const ref = this.fresh(name);
      this.calls.set(ref, { layer: shared, call: shared.inbound_nodes.length });
      shared.inbound_nodes.push(...inbound);
      return ref;
    }
    const own = this.fresh(name);
    const layer = {
      class_name: className,
      name: own,
      config: { name: own, trainable: true, dtype: 'float32', ...config },
      inbound_nodes: inbound,
    };
    this.layers.push(layer);
    if (same !== null) this.known.set(same, layer);
    this.weights.set(own, held);
    return own;
  }

  /** As layers behind it name a tensor. */
  private end(ref: Ref): unknown[] {
    const known = this.calls.get(ref);
    return known === undefined ? [ref, 0, 0, {}] : [known.layer.name, known.call, 0, {}];
  }

  /** The same text for calls of the same layer: of one kind, with the very same weights; null: without any. */
  private identity(
    className: string,
    config: Record<string, unknown>,
    weights: ReadonlyMap<string, Weights>,
  ): string | null {
    if (weights.size === 0) return null;
    const numbers = [...weights].map(([key, { data, dims }]) => {
      const number = this.numbers.get(data) ?? this.numbers.size;
      this.numbers.set(data, number);
      return [key, number, dims];
    });
    return JSON.stringify([className, { ...config, name: null }, numbers]);
  }

  /** A layer of the client's, as it was. */
  keep(
    className: string,
    given: { name: string; inputs: readonly Ref[]; config: Record<string, unknown> },
    weights: ReadonlyMap<string, Weights>,
  ): Ref {
    return this.layer(className, given, Object.fromEntries(weights));
  }

  input(name: string, shape: Shape, type: StoredTensor['type']): Ref {
    this.layers.push({
      class_name: 'InputLayer',
      name,
      config: { name, batch_input_shape: [...shape], dtype: type, sparse: false },
      inbound_nodes: [],
    });
    this.inputs.push(name);
    return name;
  }

  /** The layer that makes an output takes its name. */
  output(name: string, x: Ref): void {
    const found = this.layers.find((layer) => layer.name === x);
    if (found === undefined || this.inputs.includes(x) || this.outputs.includes(x)) {
      this.taken.delete(name);
      this.outputs.push(this.layer('Activation', { name, inputs: [x], config: { activation: 'linear' } }));
      return;
    }
    this.outputs.push(name);
    found.name = name;
    found.config['name'] = name;
    this.weights.set(name, this.weights.get(x) ?? new Map<string, Weights>());
    if (x !== name) this.weights.delete(x);
    for (const layer of this.layers) {
      const swap = (value: unknown): unknown => (Array.isArray(value) ? value.map(swap) : value === x ? name : value);
      layer.inbound_nodes = layer.inbound_nodes.map(swap);
    }
  }

  convolution(
    name: string,
    x: Ref,
    { kernel, bias, strides, dilations, padding, kind, activation }: Parameters<Target['convolution']>[2],
    shape: Shape,
  ): Ref {
    const size = kernel.dims.slice(0, -2);
    const channels = shape.at(-1) ?? 0;
    const config = {
      ...{ kernel_size: size, strides, padding, data_format: 'channels_last', dilation_rate: dilations },
      ...{ activation, use_bias: bias !== null },
    };
    if (kind === 'depthwise') {
      const own = { ...config, depth_multiplier: kernel.dims[3] ?? 1 };
      return this.layer('DepthwiseConv2D', { name, inputs: [x], config: own }, { depthwise_kernel: kernel, bias });
    }
    const className = kind === 'transposed' ? 'Conv2DTranspose' : size.length === 1 ? 'Conv1D' : 'Conv2D';
    return this.layer(className, { name, inputs: [x], config: { filters: channels, ...config } }, { kernel, bias });
  }

  pool(name: string, x: Ref, { kind, size, strides, padding }: Parameters<Target['pool']>[2]): Ref {
    const className = `${kind === 'max' ? 'Max' : 'Average'}Pooling${String(size.length)}D`;
    return this.layer(className, {
      name,
      inputs: [x],
      config: { pool_size: size, strides, padding, ...(size.length === 2 ? { data_format: 'channels_last' } : {}) },
    });
  }

  dense(
    name: string,
    x: Ref,
    { kernel, bias, activation }: { kernel: Weights; bias: Weights | null; activation: Fused },
  ): Ref {
    return this.layer(
      'Dense',
      { name, inputs: [x], config: { units: kernel.dims[1] ?? 0, activation, use_bias: bias !== null } },
      { kernel, bias },
    );
  }

  product(name: string): Ref {
    throw this.fail(name, 'a product of two computed tensors');
  }

  normalization(
    name: string,
    x: Ref,
    { scale, shift, mean, variance, epsilon }: Parameters<Target['normalization']>[2],
  ): Ref {
    const config = { axis: -1, momentum: 0.99, epsilon, center: true, scale: true };
    return this.layer(
      'BatchNormalization',
      { name, inputs: [x], config },
      { gamma: scale, beta: shift, moving_mean: mean, moving_variance: variance },
    );
  }

  unary(name: string, operator: string, x: Ref, alpha?: number): Ref {
    if (operator === 'LeakyRelu')
      return this.layer('LeakyReLU', { name, inputs: [x], config: { alpha: alpha ?? 0.3 } });
    if (operator === 'Softmax') return this.layer('Softmax', { name, inputs: [x], config: { axis: -1 } });
    const activation = operator === 'Elu' && (alpha ?? 1) === 1 ? 'elu' : ACTIVATIONS[operator];
    if (activation === undefined) throw this.fail(name, `the function ${operator}`);
    return this.layer('Activation', { name, inputs: [x], config: { activation } });
  }

  clip(name: string, x: Ref, low: number | null, high: number | null): Ref {
    if (low !== 0) throw this.fail(name, 'a limit below other than zero');
    return this.layer('ReLU', { name, inputs: [x], config: high === null ? {} : { max_value: high } });
  }

  prelu(name: string, x: Ref, slope: Weights, rank: number): Ref {
    const dims = [...Array.from({ length: Math.max(rank - slope.dims.length, 0) }, () => 1), ...slope.dims].slice(1);
    const shared = dims.flatMap((d, i) => (d === 1 ? [i + 1] : []));
    return this.layer(
      'PReLU',
      { name, inputs: [x], config: { shared_axes: shared.length === 0 ? null : shared } },
      { alpha: { ...slope, dims } },
    );
  }

  binary(name: string, operator: string, [a, b]: [Ref | Weights, Ref | Weights], rank: number): Ref {
    if (typeof a === 'string' && typeof b === 'string') {
      const merge = MERGES[operator];
      if (merge !== undefined) return this.layer(merge, { name, inputs: [a, b], config: {} });
      if (operator === 'Sub')
        return this.layer('Add', {
          name,
          inputs: [a, this.affine(`${name}_minus`, b, { scale: -1, shift: 0 })],
          config: {},
        });
      throw this.fail(name, `the operator ${operator} of two tensors`);
    }
    const [x, constant, first] = typeof a === 'string' ? [a, b as Weights, true] : [b as Ref, a, false];
    const values = Array.from(constant.data, Number);
    const [one = 0] = values;
    const forms: Readonly<Record<string, ((c: number) => { scale: number; shift: number }) | undefined>> = {
      AddV2: (c) => ({ scale: 1, shift: c }),
      Mul: (c) => ({ scale: c, shift: 0 }),
      Sub: (c) => (first ? { scale: 1, shift: -c } : { scale: -1, shift: c }),
      RealDiv: first ? (c) => ({ scale: 1 / c, shift: 0 }) : undefined,
    };
    const form = forms[operator];
    if (form === undefined) throw this.fail(name, `the operator ${operator} with a number`);
    if (values.length === 1) return this.affine(name, x, form(one));
    const width = constant.dims.at(-1) ?? 0;
    if (width !== values.length || rank < 2) throw this.fail(name, 'a constant that differs from place to place');
    const row = (of: (c: number) => number): Weights => ({
      dims: [width],
      type: 'float32',
      data: Float32Array.from(values, of),
      coding: null,
    });
    // With a mean of zero and a variance of one it multiplies and adds.
    return this.normalization(name, x, {
      scale: row((c) => form(c).scale),
      shift: row((c) => form(c).shift),
      mean: row(() => 0),
      variance: row(() => 1 - 1e-7),
      epsilon: 1e-7,
    });
  }

  private affine(name: string, x: Ref, { scale, shift }: { scale: number; shift: number }): Ref {
    return this.layer('Rescaling', { name, inputs: [x], config: { scale, offset: shift } });
  }

  concat(name: string, inputs: Ref[], axis: number): Ref {
    return this.layer('Concatenate', { name, inputs, config: { axis } });
  }

  transpose(name: string, x: Ref, perm: number[]): Ref {
    if (perm[0] !== 0) throw this.fail(name, 'a transposition of the batch');
    return this.layer('Permute', { name, inputs: [x], config: { dims: perm.slice(1) } });
  }

  reshape(name: string, x: Ref, shape: Shape): Ref {
    const rest = shape.slice(1);
    if (rest.length === 1) return this.layer('Flatten', { name, inputs: [x], config: {} });
    return this.layer('Reshape', { name, inputs: [x], config: { target_shape: rest.map((d) => d ?? -1) } });
  }

  reduce(name: string, operator: string, x: Ref, { axes, keep, shape }: Parameters<Target['reduce']>[3]): Ref {
    const rank = shape.length + (keep ? 0 : axes.length);
    const picture = String(axes.slice().sort()) === String(Array.from({ length: rank - 2 }, (_, i) => i + 1));
    if (!picture || rank < 3 || rank > 4 || (operator !== 'Mean' && operator !== 'Max'))
      throw this.fail(name, `${operator} over these axes`);
    const className = `Global${operator === 'Mean' ? 'Average' : 'Max'}Pooling${String(rank - 2)}D`;
    const pooled = this.layer(className, {
      name,
      inputs: [x],
      config: rank === 4 ? { data_format: 'channels_last' } : {},
    });
    return keep ? this.reshape(`${name}_kept`, pooled, shape) : pooled;
  }

  pad(name: string, x: Ref, { pads, mode, value }: Parameters<Target['pad']>[2]): Ref {
    const [batch, top, left, channels] = pads;
    if (
      pads.length !== 4 ||
      mode !== 'constant' ||
      value !== 0 ||
      [...(batch ?? []), ...(channels ?? [])].some((n) => n !== 0)
    )
      throw this.fail(name, 'this padding');
    return this.layer('ZeroPadding2D', {
      name,
      inputs: [x],
      config: { padding: [top, left], data_format: 'channels_last' },
    });
  }

  slice(name: string, x: Ref, { begin, end, step }: Parameters<Target['slice']>[2]): Ref {
    const behind = end.map((e) => (e === null ? 0 : e < 0 ? -e : Number.NaN));
    const whole = [0, 3].every((axis) => begin[axis] === 0 && behind[axis] === 0);
    if (
      begin.length !== 4 ||
      !whole ||
      behind.some(Number.isNaN) ||
      begin.some((v) => v < 0) ||
      step.some((v) => v !== 1)
    )
      throw this.fail(name, 'this slice');
    return this.layer('Cropping2D', {
      name,
      inputs: [x],
      config: { cropping: [1, 2].map((axis) => [begin[axis], behind[axis]]), data_format: 'channels_last' },
    });
  }

  resize(name: string, x: Ref, { mode, scales, alignCorners, halfPixelCenters }: Parameters<Target['resize']>[2]): Ref {
    const plain = !alignCorners && (!halfPixelCenters || mode === 'nearest');
    if (!plain || scales?.every((by) => Number.isInteger(by)) !== true) throw this.fail(name, 'this resizing');
    return this.layer('UpSampling2D', {
      name,
      inputs: [x],
      config: {
        size: scales,
        data_format: 'channels_last',
        interpolation: mode === 'nearest' ? 'nearest' : 'bilinear',
      },
    });
  }

  /** Layers cannot pick channels: a product with ones and zeros does. */
  gather(name: string, x: Ref, { indices, axis, shape }: Parameters<Target['gather']>[2]): Ref {
    const width = shape[axis] ?? null;
    if (axis !== shape.length - 1 || width === null) throw this.fail(name, 'picking along this axis');
    const count = indices.data.length;
    const data = new Float32Array(width * count);
    indices.data.forEach((from, to) => (data[from * count + to] = 1));
    const taps = shape.length - 2;
    const kernel: Weights = {
      dims: [...Array.from({ length: taps }, () => 1), width, count],
      type: 'float32',
      data,
      coding: null,
    };
    if (taps < 1 || taps > 2)
      return this.dense(name, x, { kernel: { ...kernel, dims: [width, count] }, bias: null, activation: 'linear' });
    const ones = Array.from({ length: taps }, () => 1);
    return this.convolution(
      name,
      x,
      { kernel, bias: null, strides: ones, dilations: ones, padding: 'valid', kind: 'plain', activation: 'linear' },
      [...shape.slice(0, -1), count],
    );
  }

  split(name: string): Ref[] {
    throw this.fail(name, 'a split');
  }

  operator(name: string, operator: string): Ref {
    throw this.fail(name, operator === 'Const' ? 'a constant' : operator);
  }
}
