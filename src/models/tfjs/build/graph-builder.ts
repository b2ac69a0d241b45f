import { InputError } from '../../../errors/index.js';
import type { LoadOptions } from '../../format-files.js';
import { UniqueNames } from '../../graph/unique-names.js';
import { makeInt, makeInts, makeNode } from '../../ir/attributes.js';
import {
  DataType,
  type AttributeProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from '../../ir/messages.js';
import { floatTensor, int64Tensor } from '../../ir/tensors.js';
import type { StoredTensor } from '../io/weights.js';
import { badModel } from '../io/json.js';
import { isIdentity, permute, type Value } from './value.js';

/** The operator set that networks are read into. */
export const OPSET = 18;

export interface Emitted {
  attributes?: AttributeProto[];
  /** Of the value that comes out; default: as the first input that is given as a value. */
  order?: readonly number[] | null;
  rank?: number | null;
  type?: Value['type'];
}

/** Makes the network under work, node by node. */
export class GraphBuilder {
  readonly nodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];
  readonly inputs: ValueInfoProto[] = [];
  readonly outputs: ValueInfoProto[] = [];
  /** What is being read, for names and errors. */
  scope = '';
  private readonly names = new UniqueNames();
  private readonly nodeNames = new Set<string>();
  /** Numbers below are taken: a layer of a model inside others may be called thousands of times. */
  private readonly nextNode = new Map<string, number>();
  /** By constant and order: a weight that two layers share stays one tensor. */
  private readonly stored = new Map<StoredTensor['data'], Map<string, string>>();
  private readonly turned = new Map<string, string>();
  private readonly permuted = new Map<StoredTensor['data'], Map<string, StoredTensor>>();

  constructor(private readonly limits: LoadOptions['limits']) {}

  fail(detail: string): InputError {
    return badModel(`${this.scope}: ${detail}`, `node/${this.scope}`, this.scope);
  }

  input(name: string, dims: (number | null)[], type: Value['type']): Value {
    if (this.names.has(name)) throw badModel(`two inputs are named ${name}`);
    this.names.add(name);
    const dim = dims.map((d, i) =>
      d === null || d < 0 ? { dimParam: i === 0 ? 'batch' : `${name}_${String(i)}` } : { dimValue: d },
    );
    const elemType = type === 'float32' ? DataType.FLOAT : type === 'bool' ? DataType.BOOL : DataType.INT32;
    this.inputs.push({ name, type: { tensorType: { elemType, shape: { dim } } } });
    const given: Value = { tensor: name, order: null, rank: dims.length, type, constant: null };
    return type === 'int64' ? this.cast(given, 'int64') : given;
  }

  /** A name that no tensor has yet. */
  fresh(base: string): string {
    return this.names.fresh(base);
  }

  /** Adds a node; returns the names of its outputs. */
  node(operator: string, inputs: string[], attributes: AttributeProto[] = [], outputs = 1): string[] {
    if (this.nodes.length >= this.limits.maxGraphNodes) {
      const detail = `the network has more than ${String(this.limits.maxGraphNodes)} operators (MAX_GRAPH_NODES)`;
      throw new InputError('limit_exceeded', detail, { faults: [{ pointer: '#model', detail }] });
    }
    // The name of a layer is that of the node with its weights.
    const base = operator === 'Transpose' ? `${this.scope}/layout` : this.scope;
    const inner = `${this.scope}/${operator}`;
    let name = base;
    for (let n = this.nextNode.get(inner) ?? 1; name === '' || this.nodeNames.has(name); n++) {
      name = `${inner}${n === 1 ? '' : `_${String(n)}`}`;
      this.nextNode.set(inner, n + 1);
    }
    this.nodeNames.add(name);
    const made = Array.from({ length: outputs }, (_, i) =>
      this.fresh(i === 0 ? `${name}_out` : `${name}_out:${String(i)}`),
    );
    this.nodes.push(makeNode(operator, name, inputs, made, attributes));
    return made;
  }

  /** A node with one output, on tensors as they lie. */
  emit(operator: string, inputs: (Value | string)[], { attributes = [], ...given }: Emitted = {}): Value {
    const names = inputs.map((value) => (typeof value === 'string' ? value : this.tensor(value)));
    const [tensor = ''] = this.node(operator, names, attributes);
    const first = inputs.find((value) => typeof value !== 'string');
    return {
      tensor,
      order: given.order === undefined ? (first?.order ?? null) : given.order,
      rank: given.rank === undefined ? (first?.rank ?? null) : given.rank,
      type: given.type ?? first?.type ?? 'float32',
      constant: null,
    };
  }

  constant(tensor: StoredTensor): Value {
    const type = tensor.type === 'int32' ? 'int64' : tensor.type;
    return { tensor: '', order: null, rank: tensor.dims.length, type, constant: tensor };
  }

  floats(dims: number[], values: ArrayLike<number>): Value {
    return this.constant({ dims, type: 'float32', data: Float32Array.from(values) });
  }

  scalar(value: number): Value {
    return this.floats([], [value]);
  }

  /** The name of a list of integers, as operators take them. */
  ints(values: readonly number[]): string {
    const name = this.fresh(`${this.scope}/ints`);
    this.initializers.push(int64Tensor(name, [values.length], values));
    return name;
  }

  /** The tensor that holds the value, its axes in whatever order. */
  tensor(value: Value): string {
    return value.constant === null ? value.tensor : this.store(value.constant, null);
  }

  /** A constant with its axes in another order: the same object every time, so that what layers share stays one. */
  reordered(tensor: StoredTensor, order: readonly number[]): StoredTensor {
    const known = this.permuted.get(tensor.data) ?? new Map<string, StoredTensor>();
    this.permuted.set(tensor.data, known);
    const key = `${String(order)}/${String(tensor.dims)}`;
    const made = known.get(key) ?? permute(tensor, order);
    known.set(key, made);
    return made;
  }

  private store(tensor: StoredTensor, order: readonly number[] | null): string {
    const known = this.stored.get(tensor.data) ?? new Map<string, string>();
    this.stored.set(tensor.data, known);
    const key = `${String(order ?? '')}/${String(tensor.dims)}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const name = this.fresh(`${this.scope}/constant`);
    const { dims, type, data } = order === null ? tensor : this.reordered(tensor, order);
    if (data instanceof Float32Array) this.initializers.push(floatTensor(name, dims, data));
    else if (type === 'int32') this.initializers.push(int64Tensor(name, dims, [...data]));
    else this.initializers.push({ name, dims, dataType: DataType.BOOL, rawData: Uint8Array.from(data) });
    known.set(key, name);
    return name;
  }

  /** The same value in a tensor with its axes in this order. */
  ordered(value: Value, order: readonly number[]): Value {
    if (value.constant !== null) {
      const tensor = this.store(value.constant, isIdentity(order) ? null : order);
      return { ...value, tensor, order: isIdentity(order) ? null : order, constant: null };
    }
    const now = value.order ?? order.map((_, i) => i);
    if (now.length !== order.length)
      throw this.fail(`an input has ${String(now.length)} axes instead of ${String(order.length)}`);
    if (now.every((axis, i) => axis === order[i])) return value;
    const perm = order.map((axis) => now.indexOf(axis));
    const key = JSON.stringify([value.tensor, perm]);
    const tensor = this.turned.get(key) ?? this.turn(value.tensor, perm, order);
    this.turned.set(key, tensor);
    return { ...value, tensor, order: isIdentity(order) ? null : order };
  }

  private turn(from: string, perm: number[], order: readonly number[]): string {
    const [to = ''] = this.node('Transpose', [from], [makeInts('perm', perm)]);
    // The way back is there already.
    const back = perm.map((_, i) => perm.indexOf(i));
    this.turned.set(JSON.stringify([to, back]), from);
    return order.length === 0 ? from : to;
  }

  /** The same value in a tensor with its axes as they are. */
  plain(value: Value): Value {
    return value.order === null
      ? value
      : this.ordered(
          value,
          value.order.map((_, i) => i),
        );
  }

  cast(value: Value, type: Value['type']): Value {
    const to = { float32: DataType.FLOAT, int64: DataType.INT64, bool: DataType.BOOL }[type];
    return this.emit('Cast', [value], { attributes: [makeInt('to', to)], type });
  }

  /** Ends the network: its outputs with their names, in this order. */
  finish(outputs: readonly { name: string; value: Value }[]): void {
    const ends = outputs.map(({ name, value }) => {
      this.scope = name;
      const plain = this.plain(value);
      return { name, type: plain.type, tensor: this.tensor(plain.type === 'int64' ? this.toInt32(plain) : plain) };
    });
    const made = new Set(this.nodes.flatMap((node) => node.output));
    const names = new Map<string, string>();
    for (const { name, tensor } of ends) if (made.has(tensor) && !names.has(tensor)) names.set(tensor, name);
    const wanted = new Set(outputs.map(({ name }) => name));
    for (const name of [...made, ...this.initializers.map((tensor) => tensor.name)])
      if (wanted.has(name) && !names.has(name)) names.set(name, this.fresh(`${name}_inner`));
    this.rename(names);
    for (const { name, tensor, type } of ends) {
      const now = names.get(tensor) ?? tensor;
      if (now !== name) this.nodes.push(makeNode('Identity', this.fresh(`${name}/output`), [now], [name]));
      const elemType = { float32: DataType.FLOAT, int64: DataType.INT32, bool: DataType.BOOL }[type];
      this.outputs.push({ name, type: { tensorType: { elemType } } });
    }
  }

  private toInt32(value: Value): Value {
    return this.emit('Cast', [value], { attributes: [makeInt('to', DataType.INT32)] });
  }

  /** What tensors are called since outputs took their names. */
  private renamed: ReadonlyMap<string, string> = new Map();

  final(value: Value): Value {
    return { ...value, tensor: this.renamed.get(value.tensor) ?? value.tensor };
  }

  private rename(names: ReadonlyMap<string, string>): void {
    this.renamed = names;
    const swap = (name: string) => names.get(name) ?? name;
    for (const node of this.nodes) {
      node.input = node.input.map(swap);
      node.output = node.output.map(swap);
    }
    for (const tensor of this.initializers) tensor.name = swap(tensor.name);
  }
}
