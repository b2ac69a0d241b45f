import { InputError } from '../../errors/index.js';
import { concatenate, sliceRows } from '../../datasets/samples.js';
import type { Tensor, TensorData } from '../../datasets/tensor.js';

/** What holds each of the runtime's element types. */
const HOLDERS = {
  float32: Float32Array,
  float64: Float64Array,
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
} as const;

const isHeld = (type: string): type is keyof typeof HOLDERS => Object.hasOwn(HOLDERS, type);

/**
 * `data` as the element type `type` of an ONNX Runtime tensor.
 * @throws {InputError} when an integer does not fit
 */
export function castTo(data: TensorData, type: string): TensorData {
  if (typeOf(data) === type) return data;
  if (type === 'bool') return Uint8Array.from(data as Uint8Array, (value) => (value === 0 ? 0 : 1));
  if (type === 'int64' || type === 'uint64') {
    const wide = Array.from(data as Float64Array, (value) => BigInt(value));
    return type === 'int64' ? BigInt64Array.from(wide) : unsigned(wide);
  }
  const numbers =
    data instanceof BigInt64Array || data instanceof BigUint64Array ? Float64Array.from(data, Number) : data;
  if (!isHeld(type))
    throw new InputError('invalid_dataset', `${typeOf(data)} data cannot be fed to an input of type ${type}`);
  const cast = HOLDERS[type].from(numbers);
  const at = type.startsWith('float') ? -1 : cast.findIndex((value, i) => value !== numbers[i]);
  if (at >= 0) throw beyond(numbers[at], type);
  return cast;
}

/** @param type absent: as it is */
export const castTensor = ({ dims, data }: Tensor, type: string | undefined): Tensor => ({
  dims,
  data: type === undefined ? data : castTo(data, type),
});

function unsigned(values: readonly bigint[]): BigUint64Array {
  const negative = values.find((value) => value < 0n);
  if (negative !== undefined) throw beyond(negative, 'uint64');
  return BigUint64Array.from(values);
}

const beyond = (value: number | bigint, type: string): InputError =>
  new InputError('invalid_dataset', `${String(value)} cannot be fed to an input of type ${type}`);

export function typeOf(data: TensorData): string {
  const name = data.constructor.name.replace('Array', '').replace('Big', '').toLowerCase();
  return name;
}

/** Repeats the last row until there are `rows`. */
export function padRows(tensor: Tensor, rows: number): Tensor {
  const have = tensor.dims[0] ?? 0;
  if (have === rows) return tensor;
  const last = sliceRows(tensor, have - 1, have);
  return concatenate([tensor, ...new Array<Tensor>(rows - have).fill(last)]);
}
