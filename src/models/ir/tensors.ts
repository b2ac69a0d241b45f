import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../errors/index.js';
import { halfToFloat } from '../../datasets/half.js';
import { DataType, EXTERNAL, dataTypeName, elementBits, int64ToNumber, type TensorProto } from './messages.js';

export function tensorDims(tensor: TensorProto): number[] {
  return tensor.dims.map(int64ToNumber);
}

export function elementCount(dims: readonly number[]): number {
  return dims.reduce((a, b) => a * b, 1);
}

/** Bytes that the elements of `tensor` take, packed. */
export function byteSize(tensor: TensorProto): number {
  return Math.ceil((elementCount(tensorDims(tensor)) * elementBits(tensor.dataType)) / 8);
}

export interface ExternalReference {
  location: string;
  offset: number;
  length: number;
}

/** Where the data of an external tensor lies, or null when the data is in the model file itself. */
export function externalReference(tensor: TensorProto): ExternalReference | null {
  if (tensor.dataLocation !== EXTERNAL) return null;
  const entry = (key: string) => tensor.externalData?.find((e) => e.key === key)?.value;
  const whole = (key: string, fallback: number): number => {
    const text = entry(key);
    if (text === undefined || text === '') return fallback;
    return /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  };
  return { location: entry('location') ?? '', offset: whole('offset', 0), length: whole('length', byteSize(tensor)) };
}

/** The little-endian bytes of a tensor; external data is read from its file in `directory`. */
export function tensorBytes(tensor: TensorProto, directory: string | null): Uint8Array {
  const external = externalReference(tensor);
  if (external !== null) return readExternal(tensor, external, directory);
  if (tensor.rawData !== undefined && tensor.rawData.length > 0) return tensor.rawData;
  return typedFieldBytes(tensor);
}

function readExternal(tensor: TensorProto, { location, offset, length }: ExternalReference, directory: string | null) {
  if (directory === null) throw new InputError('invalid_model', `tensor ${tensor.name} has external data`);
  const bytes = new Uint8Array(length);
  const file = openSync(join(directory, location), 'r');
  try {
    for (let done = 0; done < length;) {
      const count = readSync(file, bytes, done, Math.min(length - done, 1 << 30), offset + done);
      if (count === 0)
        throw new InputError('invalid_model', `the data of tensor ${tensor.name} in ${location} is truncated`);
      done += count;
    }
  } finally {
    closeSync(file);
  }
  return bytes;
}

const view = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const joined = (pieces: Uint8Array[] | undefined): Uint8Array =>
  pieces?.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces ?? []);

/** Packed varints as 64-bit integers, at most `limit` and one more. */
function varints(pieces: Uint8Array[] | undefined, limit: number): BigInt64Array {
  const bytes = joined(pieces);
  const values = new BigInt64Array(Math.min(limit + 1, bytes.length));
  let count = 0;
  for (let at = 0; at < bytes.length && count < values.length; count++) {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[at++] ?? 0;
      if (shift < 28) low |= (byte & 0x7f) << shift;
      else if (shift === 28) {
        low |= (byte & 0x0f) << 28;
        high |= (byte & 0x7f) >>> 4;
      } else high |= (byte & 0x7f) << (shift - 32);
      if (byte < 0x80) break;
    }
    values[count] = (BigInt(high | 0) << 32n) | BigInt(low >>> 0);
  }
  return values.subarray(0, count);
}

/** Data kept in float_data, int32_data, int64_data, double_data or uint64_data, as packed bytes. */
function typedFieldBytes(tensor: TensorProto): Uint8Array {
  const count = elementCount(tensorDims(tensor));
  switch (tensor.dataType) {
    case DataType.FLOAT:
      return joined(tensor.floatData);
    case DataType.DOUBLE:
      return joined(tensor.doubleData);
    case DataType.INT64:
      return view(varints(tensor.int64Data, count));
    case DataType.UINT64:
      return view(varints(tensor.uint64Data, count));
    case DataType.UINT32:
      return view(Uint32Array.from(varints(tensor.uint64Data, count), Number));
    case DataType.INT32:
      return view(Int32Array.from(varints(tensor.int32Data, count), Number));
    case DataType.INT16:
    case DataType.UINT16:
    case DataType.FLOAT16:
    case DataType.BFLOAT16:
      return view(Uint16Array.from(varints(tensor.int32Data, count), Number));
    default:
      // One value per byte for bool, int8, uint8 and float8; packed pairs for the 4-bit types.
      return Uint8Array.from(varints(tensor.int32Data, count), Number);
  }
}

/** Aligned elements of `bytes`; a view when the alignment allows it. */
function elements<T>(
  bytes: Uint8Array,
  type: { BYTES_PER_ELEMENT: number; new (buffer: ArrayBufferLike, offset: number, length: number): T },
): T {
  const size = type.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return new type(aligned.buffer, aligned.byteOffset, Math.floor(bytes.length / size));
}

/** The values of a float tensor. May be a view of the model file: not to be written to. */
export function tensorFloats(tensor: TensorProto, directory: string | null): Float32Array {
  const bytes = tensorBytes(tensor, directory);
  switch (tensor.dataType) {
    case DataType.FLOAT:
      return bytes.byteOffset % 4 === 0
        ? elements(bytes, Float32Array)
        : new Float32Array(Uint8Array.from(bytes).buffer);
    case DataType.DOUBLE:
      return Float32Array.from(elements(Uint8Array.from(bytes), Float64Array));
    case DataType.FLOAT16:
      return Float32Array.from(elements(Uint8Array.from(bytes), Uint16Array), halfToFloat);
    case DataType.BFLOAT16:
      return new Float32Array(
        Uint32Array.from(elements(Uint8Array.from(bytes), Uint16Array), (bits) => bits << 16).buffer,
      );
    default:
      throw new InputError(
        'invalid_model',
        `tensor ${tensor.name} is ${dataTypeName(tensor.dataType)}, not a float tensor`,
      );
  }
}

/** The value of a float or integer tensor with one element, or null. */
export function scalarValue(tensor: TensorProto, directory: string | null): number | null {
  if (elementCount(tensorDims(tensor)) !== 1) return null;
  const bytes = Uint8Array.from(tensorBytes(tensor, directory));
  switch (tensor.dataType) {
    case DataType.FLOAT:
    case DataType.DOUBLE:
    case DataType.FLOAT16:
      return tensorFloats(tensor, directory)[0] ?? null;
    case DataType.INT64:
      return Number(new BigInt64Array(bytes.buffer)[0]);
    case DataType.INT32:
      return new Int32Array(bytes.buffer)[0] ?? null;
    case DataType.BOOL:
    case DataType.UINT8:
      return bytes[0] ?? null;
    default:
      return null;
  }
}

/** The values of an int64 or int32 tensor, such as a shape; none for any other type. */
export function tensorInts(tensor: TensorProto, directory: string | null): number[] {
  const bytes = Uint8Array.from(tensorBytes(tensor, directory));
  if (tensor.dataType === DataType.INT64) return Array.from(new BigInt64Array(bytes.buffer), Number);
  return tensor.dataType === DataType.INT32 ? [...new Int32Array(bytes.buffer)] : [];
}

/** Index of the first NaN or infinity, or -1. */
export function firstNonFinite(tensor: TensorProto, directory: string | null): number {
  const type = tensor.dataType;
  if (type !== DataType.FLOAT && type !== DataType.DOUBLE && type !== DataType.FLOAT16 && type !== DataType.BFLOAT16)
    return -1;
  const bytes = tensorBytes(tensor, directory);
  const size = elementBits(type) / 8;
  // All exponent bits set, looked for in the high bytes: works at any alignment, without a copy.
  const mask = {
    [DataType.FLOAT]: 0x7f80,
    [DataType.DOUBLE]: 0x7ff0,
    [DataType.FLOAT16]: 0x7c00,
    [DataType.BFLOAT16]: 0x7f80,
  }[type];
  for (let i = size - 1; i < bytes.length; i += size) {
    if (((bytes[i] << 8) & mask) !== (mask & 0xff00)) continue;
    if ((((bytes[i] << 8) | bytes[i - 1]) & mask) === mask) return (i + 1) / size - 1;
  }
  return -1;
}

/** A float32 initializer that refers to `data` without copying it. */
export function floatTensor(name: string, dims: number[], data: Float32Array): TensorProto {
  if (elementCount(dims) !== data.length)
    throw new RangeError(`${name}: ${String(data.length)} values for [${dims.join(', ')}]`);
  return { name, dims, dataType: DataType.FLOAT, rawData: view(data) };
}

export function int64Tensor(name: string, dims: number[], values: readonly number[]): TensorProto {
  return { name, dims, dataType: DataType.INT64, rawData: view(BigInt64Array.from(values, (v) => BigInt(v))) };
}
