/**
 * The ONNX messages as this project uses them. Fields we never look at travel as unknown fields.
 * An absent message reads as null; an absent number, string or list as its default.
 */

/** 64-bit integers arrive as objects (they may not fit a number) and may be written as plain numbers. */
export type Int64 = number | { low: number; high: number; unsigned: boolean; toNumber(): number };

export interface StringEntry {
  key: string;
  value: string;
}

export interface TensorProto {
  dims: Int64[];
  dataType: number;
  name: string;
  docString?: string;
  /** float_data and the other typed fields: pieces of packed numbers, see codec.ts. */
  floatData?: Uint8Array[];
  int32Data?: Uint8Array[];
  stringData?: Uint8Array[];
  int64Data?: Uint8Array[];
  rawData?: Uint8Array;
  doubleData?: Uint8Array[];
  uint64Data?: Uint8Array[];
  externalData?: StringEntry[];
  dataLocation?: number;
}

export interface AttributeProto {
  name: string;
  type?: number;
  refAttrName?: string;
  f?: number;
  i?: Int64;
  s?: Uint8Array;
  t?: TensorProto | null;
  g?: GraphProto | null;
  floats?: number[];
  ints?: Int64[];
  strings?: Uint8Array[];
  tensors?: TensorProto[];
  graphs?: GraphProto[];
}

export interface NodeProto {
  input: string[];
  output: string[];
  name: string;
  opType: string;
  domain?: string;
  overload?: string;
  attribute: AttributeProto[];
}

/** A local function: a subgraph with a name and attributes, called like an operator. */
export interface FunctionProto {
  name: string;
  domain?: string;
  overload?: string;
  input: string[];
  output: string[];
  /** Names of attributes without a default; those with one are `attributeProto`. */
  attribute?: string[];
  attributeProto?: AttributeProto[];
  node: NodeProto[];
  opsetImport: { domain?: string; version: Int64 }[];
}

export interface Dimension {
  dimValue?: Int64;
  dimParam?: string;
}

export interface ValueInfoProto {
  name: string;
  type?: { tensorType?: { elemType?: number; shape?: { dim: Dimension[] } | null } | null } | null;
}

export interface GraphProto {
  node: NodeProto[];
  name: string;
  initializer: TensorProto[];
  sparseInitializer?: unknown[];
  input: ValueInfoProto[];
  output: ValueInfoProto[];
  valueInfo: ValueInfoProto[];
}

export interface ModelProto {
  irVersion: Int64;
  opsetImport: { domain?: string; version: Int64 }[];
  producerName?: string;
  producerVersion?: string;
  graph?: GraphProto | null;
  functions?: FunctionProto[];
}

/** TensorProto.DataType */
export const DataType = {
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  STRING: 8,
  BOOL: 9,
  FLOAT16: 10,
  DOUBLE: 11,
  UINT32: 12,
  UINT64: 13,
  COMPLEX64: 14,
  COMPLEX128: 15,
  BFLOAT16: 16,
} as const;

/** AttributeProto.AttributeType */
export const AttributeType = { FLOAT: 1, INT: 2, STRING: 3, TENSOR: 4, GRAPH: 5, FLOATS: 6, INTS: 7 } as const;

/** TensorProto.DataLocation */
export const EXTERNAL = 1;

export function dataTypeName(type: number): string {
  return (
    Object.entries(DataType)
      .find(([, value]) => value === type)?.[0]
      .toLowerCase() ?? `type ${String(type)}`
  );
}

/** Bits of one element; 0 for types without a fixed size or unknown to us. */
export function elementBits(type: number): number {
  const bits: Record<number, number> = {
    1: 32,
    2: 8,
    3: 8,
    4: 16,
    5: 16,
    6: 32,
    7: 64,
    9: 8,
    10: 16,
    11: 64,
    12: 32,
    13: 64,
  };
  // complex, bfloat16, the float8 family, 4-bit integers and floats
  const newer: Record<number, number> = {
    14: 64,
    15: 128,
    16: 16,
    17: 8,
    18: 8,
    19: 8,
    20: 8,
    21: 4,
    22: 4,
    23: 4,
    24: 8,
    25: 2,
    26: 2,
  };
  return bits[type] ?? newer[type] ?? 0;
}

/** A copy of `message` with some fields replaced; its defaults and the fields unknown to us stay. */
export function withFields<T extends object>(message: T, fields: Partial<T>): T {
  const copy = Object.create(Object.getPrototypeOf(message) as object) as T;
  Object.assign(copy, message, fields);
  const unknown = Object.getOwnPropertyDescriptor(message, '$unknowns');
  if (unknown !== undefined) Object.defineProperty(copy, '$unknowns', unknown);
  return copy;
}

/** The number in `value`, or NaN when it is not exact. */
export function int64ToNumber(value: Int64 | undefined): number {
  if (value === undefined) return 0;
  const number = typeof value === 'number' ? value : value.toNumber();
  return Number.isSafeInteger(number) ? number : Number.NaN;
}
