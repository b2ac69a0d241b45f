import { encodeModel } from '../../../src/models/ir/codec.js';

/** The smallest thing that is an ONNX file: one Relu. */
export function reluModel(name = 'relu'): Buffer {
  const node = { input: ['x'], output: ['y'], name, opType: 'Relu', attribute: [] };
  return Buffer.from(
    encodeModel({
      graph: { node: [node], name: 'net', initializer: [], input: [], output: [] },
    } as unknown as Parameters<typeof encodeModel>[0]),
  );
}
