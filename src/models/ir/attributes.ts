import { AttributeType, int64ToNumber, type AttributeProto, type NodeProto } from './messages.js';

function find(node: NodeProto, name: string): AttributeProto | undefined {
  return node.attribute.find((attribute) => attribute.name === name);
}

export function intAttribute(node: NodeProto, name: string, fallback: number): number {
  const attribute = find(node, name);
  return attribute === undefined ? fallback : int64ToNumber(attribute.i);
}

export function intsAttribute(node: NodeProto, name: string): number[] | null {
  return find(node, name)?.ints?.map(int64ToNumber) ?? null;
}

export function floatAttribute(node: NodeProto, name: string, fallback: number): number {
  return find(node, name)?.f ?? fallback;
}

export function stringAttribute(node: NodeProto, name: string, fallback: string): string {
  const bytes = find(node, name)?.s;
  return bytes === undefined ? fallback : Buffer.from(bytes).toString('utf8');
}

export function hasAttribute(node: NodeProto, name: string): boolean {
  return find(node, name) !== undefined;
}

// oxlint-disable-next-line max-params -- as `make_node` of the package onnx has them
export function makeNode(
  opType: string,
  name: string,
  input: string[],
  output: string[],
  attribute: AttributeProto[] = [],
): NodeProto {
  return { opType, name, input, output, attribute };
}

export const makeInt = (name: string, i: number): AttributeProto => ({ name, type: AttributeType.INT, i });
export const makeInts = (name: string, ints: number[]): AttributeProto => ({ name, type: AttributeType.INTS, ints });
export const makeString = (name: string, text: string): AttributeProto => ({
  name,
  type: AttributeType.STRING,
  s: Buffer.from(text),
});
export const makeFloat = (name: string, f: number): AttributeProto => ({ name, type: AttributeType.FLOAT, f });
