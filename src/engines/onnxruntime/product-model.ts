/**
 * The bytes of an ONNX model with one Gemm node, C = op(A) op(B), whose sizes are all symbolic: one session serves every
 * shape. Field numbers are those of onnx.proto.
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

function valueInfo(name: string, dimensions: string[]): number[] {
  const shape = dimensions.flatMap((d) => message(1, text(2, d)));
  const tensorType = [...integer(1, FLOAT), ...message(2, shape)];
  return [...text(1, name), ...message(2, message(1, tensorType))];
}

const flag = (name: string, value: boolean): number[] => [
  ...text(1, name),
  ...integer(3, value ? 1 : 0),
  ...integer(20, INT_ATTRIBUTE),
];

export function productModel(transposeA: boolean, transposeB: boolean): Uint8Array {
  const node = [
    ...text(1, 'A'),
    ...text(1, 'B'),
    ...text(2, 'C'),
    ...text(4, 'Gemm'),
    ...message(5, flag('transA', transposeA)),
    ...message(5, flag('transB', transposeB)),
  ];
  const graph = [
    ...message(1, node),
    ...text(2, 'product'),
    ...message(11, valueInfo('A', transposeA ? ['inner', 'rows'] : ['rows', 'inner'])),
    ...message(11, valueInfo('B', transposeB ? ['cols', 'inner'] : ['inner', 'cols'])),
    ...message(12, valueInfo('C', ['rows', 'cols'])),
  ];
  const opset = [...text(1, ''), ...integer(2, 13)];
  return Uint8Array.from([...integer(1, 8), ...message(7, graph), ...message(8, opset)]);
}
