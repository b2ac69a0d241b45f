import protobuf from 'protobufjs';
import type { ModelProto } from './messages.js';

const optional = (id: number, type: string) => ({ id, type });
const repeated = (id: number, type: string) => ({ id, type, rule: 'repeated', options: { packed: false } });
/**
 * Packed numbers as the bytes they are: a view of the file instead of a JavaScript array many times its size.
 * Repeated, because a packed field may come in pieces.
 */
const packed = (id: number) => repeated(id, 'bytes');

/** Field numbers of onnx.proto for what we read or change. protobufjs keeps all other fields as raw bytes. */
const schema: Record<string, { fields: Record<string, protobuf.IField> }> = {
  ModelProto: {
    fields: {
      irVersion: optional(1, 'int64'),
      producerName: optional(2, 'string'),
      producerVersion: optional(3, 'string'),
      graph: optional(7, 'GraphProto'),
      opsetImport: repeated(8, 'OperatorSetIdProto'),
      functions: repeated(25, 'FunctionProto'),
    },
  },
  OperatorSetIdProto: { fields: { domain: optional(1, 'string'), version: optional(2, 'int64') } },
  GraphProto: {
    fields: {
      node: repeated(1, 'NodeProto'),
      name: optional(2, 'string'),
      initializer: repeated(5, 'TensorProto'),
      input: repeated(11, 'ValueInfoProto'),
      output: repeated(12, 'ValueInfoProto'),
      valueInfo: repeated(13, 'ValueInfoProto'),
      sparseInitializer: repeated(15, 'bytes'),
    },
  },
  NodeProto: {
    fields: {
      input: repeated(1, 'string'),
      output: repeated(2, 'string'),
      name: optional(3, 'string'),
      opType: optional(4, 'string'),
      attribute: repeated(5, 'AttributeProto'),
      domain: optional(7, 'string'),
      overload: optional(8, 'string'),
    },
  },
  FunctionProto: {
    fields: {
      name: optional(1, 'string'),
      input: repeated(4, 'string'),
      output: repeated(5, 'string'),
      attribute: repeated(6, 'string'),
      node: repeated(7, 'NodeProto'),
      opsetImport: repeated(9, 'OperatorSetIdProto'),
      domain: optional(10, 'string'),
      attributeProto: repeated(11, 'AttributeProto'),
      overload: optional(13, 'string'),
    },
  },
  AttributeProto: {
    fields: {
      name: optional(1, 'string'),
      f: optional(2, 'float'),
      i: optional(3, 'int64'),
      s: optional(4, 'bytes'),
      t: optional(5, 'TensorProto'),
      g: optional(6, 'GraphProto'),
      floats: repeated(7, 'float'),
      ints: repeated(8, 'int64'),
      strings: repeated(9, 'bytes'),
      tensors: repeated(10, 'TensorProto'),
      graphs: repeated(11, 'GraphProto'),
      type: optional(20, 'int32'),
      refAttrName: optional(21, 'string'),
    },
  },
  TensorProto: {
    fields: {
      dims: repeated(1, 'int64'),
      dataType: optional(2, 'int32'),
      floatData: packed(4),
      int32Data: packed(5),
      stringData: repeated(6, 'bytes'),
      int64Data: packed(7),
      name: optional(8, 'string'),
      rawData: optional(9, 'bytes'),
      doubleData: packed(10),
      uint64Data: packed(11),
      docString: optional(12, 'string'),
      externalData: repeated(13, 'StringStringEntryProto'),
      dataLocation: optional(14, 'int32'),
    },
  },
  StringStringEntryProto: { fields: { key: optional(1, 'string'), value: optional(2, 'string') } },
  ValueInfoProto: { fields: { name: optional(1, 'string'), type: optional(2, 'TypeProto') } },
  TypeProto: { fields: { tensorType: optional(1, 'TypeTensor') } },
  TypeTensor: { fields: { elemType: optional(1, 'int32'), shape: optional(2, 'TensorShapeProto') } },
  TensorShapeProto: { fields: { dim: repeated(1, 'Dimension') } },
  Dimension: { fields: { dimValue: optional(1, 'int64'), dimParam: optional(2, 'string') } },
};

// proto2, as onnx.proto: presence is explicit, so an attribute `i: 0` does not vanish.
const root = protobuf.Root.fromJSON({
  nested: Object.fromEntries(Object.entries(schema).map(([name, type]) => [name, { ...type, edition: 'proto2' }])),
});
const Model = root.lookupType('ModelProto');

/** Decodes without copying: `rawData` are views into `bytes`. */
export function decodeModel(bytes: Buffer): ModelProto {
  const reader = protobuf.Reader.create(bytes);
  reader.discardUnknown = false;
  return Model.decode(reader) as unknown as ModelProto;
}

export function encodeModel(model: ModelProto): Uint8Array {
  return Model.encode(model).finish();
}
