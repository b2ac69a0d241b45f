/**
 * The bytes of small ONNX models, whose sizes are all symbolic: one session serves every shape. Field numbers are those
 * of onnx.proto.
 */

function varint(value: number): number[] {
  const bytes: number[] = [];
  while (value > 127) {
    bytes.push((value & 127) | 128);
    value >>>= 7;
  }
  return [...bytes, value];
}

const integer = (field: number, value: number): number[] => [...varint(field << 3), ...varint(value)];
const message = (field: number, content: number[]): number[] => [
  ...varint((field << 3) | 2),
  ...varint(content.length),
  ...content,
];
const text = (field: number, value: string): number[] => message(field, [...new TextEncoder().encode(value)]);

const FLOAT = 1;
const INT_ATTRIBUTE = 2;

/** A float tensor and the names of its two dimensions. */
export type Value = readonly [name: string, rows: string, cols: string];

export interface Node {
  operator: string;
  inputs: readonly string[];
  output: string;
  flags?: Record<string, boolean>;
}

function valueInfo([name, ...dimensions]: Value): number[] {
  const shape = dimensions.flatMap((d) => message(1, text(2, d)));
  const tensorType = [...integer(1, FLOAT), ...message(2, shape)];
  return [...text(1, name), ...message(2, message(1, tensorType))];
}

function nodeBytes({ operator, inputs, output, flags = {} }: Node): number[] {
  const attributes = Object.entries(flags).map(([name, value]) => [
    ...text(1, name),
    ...integer(3, value ? 1 : 0),
    ...integer(20, INT_ATTRIBUTE),
  ]);
  return [
    ...inputs.flatMap((name) => text(1, name)),
    ...text(2, output),
    ...text(4, operator),
    ...attributes.flatMap((attribute) => message(5, attribute)),
  ];
}

export function modelBytes(inputs: readonly Value[], outputs: readonly Value[], nodes: readonly Node[]): Uint8Array {
  const graph = [
    ...nodes.flatMap((node) => message(1, nodeBytes(node))),
    ...text(2, 'graph'),
    ...inputs.flatMap((value) => message(11, valueInfo(value))),
    ...outputs.flatMap((value) => message(12, valueInfo(value))),
  ];
  const opset = [...text(1, ''), ...integer(2, 13)];
  return Uint8Array.from([...integer(1, 8), ...message(7, graph), ...message(8, opset)]);
}
