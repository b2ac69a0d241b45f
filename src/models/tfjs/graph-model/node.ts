import type { GraphBuilder } from '../build/graph-builder.js';
import type { Value } from '../build/value.js';
import { at, list, number, numbers, path, text, type Json } from '../io/json.js';
import type { StoredTensor } from '../io/weights.js';

/** Sizes of a TensorShape, -1 where they are open; null where not even their number is known. */
export function shapeOf(shape: Json | undefined): number[] | null {
  if (shape === undefined || at(shape, 'unknownRank') === true) return null;
  return (list(at(shape, 'dim')) ?? []).map((dim) => number(at(dim, 'size')) ?? -1);
}

/** A node of a graph-model, as it stands in model.json. */
export interface GraphNode {
  name: string;
  op: string;
  /** Of other nodes: name and number of the output. */
  inputs: { name: string; output: number }[];
  attributes: Json | undefined;
}

/** Text of an attribute: base64, or a list of characters. */
function decoded(value: Json | undefined): string | null {
  const plain = text(value);
  if (plain !== null) return Buffer.from(plain, 'base64').toString('utf8');
  const codes = numbers(value);
  return codes === null ? null : String.fromCharCode(...codes);
}

/** One node with its inputs read, as what reads its operator sees it. */
export class NodeContext {
  constructor(
    readonly b: GraphBuilder,
    readonly node: GraphNode,
    readonly inputs: readonly Value[],
  ) {}

  private attribute(name: string): Json | undefined {
    return at(this.node.attributes, name);
  }

  number(name: string, fallback: number): number {
    const value = this.attribute(name);
    return number(at(value, 'i')) ?? number(at(value, 'f')) ?? fallback;
  }

  flag(name: string): boolean {
    return at(this.attribute(name), 'b') === true;
  }

  text(name: string, fallback: string): string {
    return decoded(at(this.attribute(name), 's')) ?? fallback;
  }

  numbers(name: string): number[] {
    const items = path(this.attribute(name), 'list', 'i') ?? path(this.attribute(name), 'list', 'f');
    return numbers(items) ?? [];
  }

  texts(name: string): string[] {
    return (list(path(this.attribute(name), 'list', 's')) ?? []).map((item) => decoded(item) ?? '');
  }

  /** `DT_FLOAT` and the like; of saved models also as numbers. */
  type(name: string): string {
    const value = at(this.attribute(name), 'type');
    const codes: Readonly<Record<string, string>> = { 1: 'DT_FLOAT', 3: 'DT_INT32', 9: 'DT_INT64', 10: 'DT_BOOL' };
    return text(value) ?? codes[String(number(value))] ?? 'DT_FLOAT';
  }

  /** Dimensions, unknown ones as -1; null: not even their number is known. */
  shape(name: string): number[] | null {
    return shapeOf(at(this.attribute(name), 'shape'));
  }

  input(i: number): Value {
    const value = this.inputs[i < 0 ? this.inputs.length + i : i];
    if (value === undefined) throw this.b.fail(`${this.node.op} lacks its input ${String(i)}`);
    return value;
  }

  /** Numbers that an operator has to know when the graph is read. */
  constant(i: number, what: string): StoredTensor {
    const { constant } = this.input(i);
    if (constant === null) throw this.b.fail(`${what} of ${this.node.op} is computed; only a constant one is read`);
    return constant;
  }

  ints(i: number, what: string): number[] {
    return Array.from(this.constant(i, what).data);
  }

  get rank(): number {
    const { rank } = this.input(0);
    if (rank === null) throw this.b.fail(`the number of axes of the input of ${this.node.op} is not known`);
    return rank;
  }

  get channelsFirst(): boolean {
    return this.text('data_format', 'NHWC').startsWith('NC');
  }
}

/** Reads one operator; several values where it has several outputs. */
export type OperatorReader = (node: NodeContext) => Value | Value[];
