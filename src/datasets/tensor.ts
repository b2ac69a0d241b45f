/** A dense array with its shape, as it goes in and out of a network. */
export interface Tensor<T extends TensorData = TensorData> {
  dims: number[];
  data: T;
}

export type TensorData =
  | Float32Array
  | Float64Array
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

export type FloatTensor = Tensor<Float32Array>;
