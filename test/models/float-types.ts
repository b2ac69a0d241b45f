import { floatToHalf } from '../../src/models/coding/float16.js';
import { DataType, type ModelProto, type TensorProto } from '../../src/models/ir/messages.js';
import { tensorFloats } from '../../src/models/ir/tensors.js';

export const FLOAT_TYPES = { float16: DataType.FLOAT16, bfloat16: DataType.BFLOAT16, double: DataType.DOUBLE };

const BYTES: Record<number, (values: Float32Array) => ArrayBufferView> = {
  [DataType.FLOAT16]: (values) => Uint16Array.from(values, floatToHalf),
  [DataType.BFLOAT16]: (values) => Uint16Array.from(new Uint32Array(values.slice().buffer), (bits) => bits >>> 16),
  [DataType.DOUBLE]: (values) => Float64Array.from(values),
};

export function tensorIn(type: number, tensor: TensorProto): TensorProto {
  const bytes = BYTES[type]?.(tensorFloats(tensor, null));
  if (tensor.dataType !== DataType.FLOAT || bytes === undefined) return tensor;
  const { name, dims } = tensor;
  return { name, dims, dataType: type, rawData: new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
}

/** The same network with all its floats in another type. */
export function inType(type: number, model: ModelProto): ModelProto {
  const { graph } = model;
  if (graph == null) throw new Error('the model has no graph');
  graph.initializer = graph.initializer.map((tensor) => tensorIn(type, tensor));
  for (const port of [...graph.input, ...graph.output])
    if (port.type?.tensorType?.elemType === DataType.FLOAT) port.type.tensorType.elemType = type;
  return model;
}
