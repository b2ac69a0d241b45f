import { InputError } from '../../../errors/index.js';
import { hasAttribute, intsAttribute } from '../../ir/attributes.js';
import { GraphIndex } from '../../graph/graph-index.js';
import { DataType, int64ToNumber, type NodeProto } from '../../ir/messages.js';
import { realInputs, type Model } from '../../ir/model.js';
import { operatorOf } from '../../ir/operator.js';
import { isIdentity, permute } from '../build/value.js';
import type { StoredTensor } from '../io/weights.js';
import { constantOf, decoded } from './constants.js';
import type { Fused, Ref, Shape, Target, Weights } from './target.js';

/** A tensor of the network and where it is written. */
export interface Written {
  ref: Ref;
  /** Axis i of what is written holds axis order[i] of the tensor; null: as they are. */
  order: readonly number[] | null;
  /** Of the tensor; null: any size. */
  shape: Shape;
}

export type NodeWriter = (w: Walker, node: NodeProto) => void;

/** Channels last, for a tensor that has them second. */
export const channelsLast = (rank: number): number[] => [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1];

/** TensorFlow.js has no other types. */
const kindOf = (elements: number | undefined): StoredTensor['type'] =>
  elements === DataType.FLOAT ? 'float32' : elements === DataType.BOOL ? 'bool' : 'int32';

/** Goes over the nodes of a network and writes each with a target. */
export class Walker {
  readonly index: GraphIndex;
  private readonly values = new Map<string, Written>();
  private readonly constants = new Map<string, Weights>();
  /** Activations that stand in the layer before them. */
  readonly fused = new Set<NodeProto>();
  private readonly turned = new Map<string, Ref>();
  /** What was made of constants, by what it was made of and how. */
  private readonly madeOf = new Map<Weights['data'], Map<string, Weights>>();

  constructor(
    readonly model: Model,
    readonly target: Target,
    /** Called for every tensor as it is written: may put something behind it. */
    private readonly behind: (tensor: string, written: Written) => Written = (_, written) => written,
  ) {
    this.index = new GraphIndex(model.graph);
  }

  fail(node: NodeProto, detail: string): InputError {
    const name = node.name === '' ? (node.output[0] ?? '') : node.name;
    const text = `${name} (${operatorOf(node)}) cannot be written as TensorFlow.js: ${detail}`;
    return new InputError('invalid_model', text, {
      faults: [{ pointer: `#model/node/${name}`, detail: text }],
      layer: name,
    });
  }

  inputs(): void {
    for (const { name, type } of realInputs(this.model.graph)) {
      const dims = type?.tensorType?.shape?.dim ?? [];
      const shape = dims.map(({ dimValue }) =>
        dimValue === undefined || int64ToNumber(dimValue) <= 0 ? null : int64ToNumber(dimValue),
      );
      const kind = kindOf(type?.tensorType?.elemType);
      this.set(name, { ref: this.target.input(name, shape, kind), order: null, shape });
    }
  }

  outputs(): void {
    for (const { name, type } of this.model.graph.output) {
      // A file that does not say what an output holds means numbers.
      const kind = kindOf(type?.tensorType?.elemType ?? DataType.FLOAT);
      this.target.output(name, this.plain(this.get(name), name).ref, kind);
    }
  }

  set(tensor: string, written: Written): void {
    this.values.set(tensor, this.behind(tensor, written));
  }

  has(tensor: string): boolean {
    return this.values.has(tensor);
  }

  get(tensor: string): Written {
    const found = this.values.get(tensor);
    if (found !== undefined) return found;
    const constant = this.constant(tensor);
    if (constant === null)
      throw new InputError('invalid_model', `the tensor ${tensor} cannot be written as TensorFlow.js`);
    return { ref: this.target.operator(tensor, 'Const', [constant], {}), order: null, shape: constant.dims };
  }

  constant(tensor: string | undefined): Weights | null {
    if (tensor === undefined || tensor === '') return null;
    const known = this.constants.get(tensor);
    if (known !== undefined) return known;
    const initializer = this.index.initializer(tensor);
    const found = initializer === null ? null : constantOf(initializer, this.model.directory);
    if (found !== null) this.constants.set(tensor, found);
    return found;
  }

  /** Decodes what depends on constants alone; whether the node is done with. */
  decode(node: NodeProto): boolean {
    const inputs = node.input.map((name) => this.constant(name));
    const [output] = node.output;
    if (output === undefined || inputs.length === 0 || inputs.some((value) => value === null)) return false;
    const made = decoded(
      node,
      inputs.flatMap((value) => value ?? []),
    );
    if (made !== null) this.constants.set(output, made);
    return made !== null;
  }

  /** Numbers of a list: an attribute in older operator sets, an input in newer ones. */
  list(node: NodeProto, { input, attribute }: { input: number; attribute: string }): number[] | null {
    if (hasAttribute(node, attribute)) return intsAttribute(node, attribute);
    const constant = this.constant(node.input[input]);
    return constant === null ? null : Array.from(constant.data);
  }

  ordered(value: Written, order: readonly number[], name: string): Written {
    const now = value.order ?? order.map((_, i) => i);
    if (now.every((axis, i) => axis === order[i])) return value;
    const perm = order.map((axis) => now.indexOf(axis));
    const key = JSON.stringify([value.ref, perm]);
    const ref = this.turned.get(key) ?? this.target.transpose(`${name}/turned`, value.ref, perm);
    this.turned.set(key, ref);
    this.turned.set(JSON.stringify([ref, perm.map((_, i) => perm.indexOf(i))]), value.ref);
    return { ...value, ref, order: isIdentity(order) ? null : order };
  }

  plain(value: Written, name: string): Written {
    return value.order === null
      ? value
      : this.ordered(
          value,
          value.order.map((_, i) => i),
          name,
        );
  }

  /**
   * What is made of a constant, once: several nodes that share weights then share what is written of them, and targets
   * know it by its numbers being the same object.
   */
  made(from: Weights, how: string, make: () => Weights): Weights {
    const known = this.madeOf.get(from.data) ?? new Map<string, Weights>();
    this.madeOf.set(from.data, known);
    const key = `${how} of ${String(from.dims)}`;
    const found = known.get(key) ?? make();
    known.set(key, found);
    return found;
  }

  /** With its axes in another order. */
  reordered(from: Weights, order: readonly number[]): Weights {
    return this.made(from, `order ${String(order)}`, () => ({ ...permute(from, order), coding: from.coding }));
  }

  /** A constant that is read beside tensors of this order. */
  aligned(constant: Weights, order: readonly number[] | null, rank: number): Weights {
    if (order === null || constant.data.length === 1) return constant;
    const dims = [...Array.from({ length: rank - constant.dims.length }, () => 1), ...constant.dims];
    return this.reordered({ ...constant, dims }, order);
  }

  /** The activation that alone reads this tensor, where a layer can have it; its output is then made by the layer. */
  activationBehind(tensor: string): { activation: Fused; output: string } {
    const none = { activation: 'linear' as const, output: tensor };
    const next = this.index.soleConsumer(tensor);
    const output = next?.output[0];
    if (next === null || output === undefined || next.input[0] !== tensor) return none;
    const isRelu = operatorOf(next) === 'Relu';
    const [low, high] = [this.constant(next.input[1])?.data[0], this.constant(next.input[2])?.data[0]];
    const isRelu6 = operatorOf(next) === 'Clip' && low === 0 && high === 6;
    if (!isRelu && !isRelu6) return none;
    this.fused.add(next);
    return { activation: isRelu ? 'relu' : 'relu6', output };
  }
}
