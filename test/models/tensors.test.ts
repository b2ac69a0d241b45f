import { describe, expect, it } from 'vitest';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { loadModel } from '../../src/models/index.js';
import { encodeModel } from '../../src/models/ir/codec.js';
import { DataType, type TensorProto } from '../../src/models/ir/messages.js';
import { firstNonFinite, floatTensor, scalarValue, tensorBytes, tensorFloats } from '../../src/models/ir/tensors.js';
import { LIMITS, build, node, proto, scratch } from './graphs.js';

/** Packed numbers, written by the protobuf library. */
function packed(values: number[], write: (writer: protobuf.Writer, value: number) => void): Uint8Array[] {
  const writer = protobuf.Writer.create();
  for (const value of values) write(writer, value);
  return [writer.finish()];
}

const typed = (dataType: number, count: number, data: Partial<TensorProto>): TensorProto => ({
  name: 't',
  dims: [count],
  dataType,
  ...data,
});
const ints = (t: TensorProto) => [...new BigInt64Array(Uint8Array.from(tensorBytes(t, null)).buffer)].map(Number);

describe('tensor data in typed fields', () => {
  it('is read for every width', () => {
    const floats = [1.5, -2, 3e-20];
    expect([
      ...tensorFloats(typed(DataType.FLOAT, 3, { floatData: packed(floats, (w, v) => w.float(v)) }), null),
    ]).toEqual(floats.map(Math.fround));
    expect([
      ...tensorFloats(typed(DataType.DOUBLE, 2, { doubleData: packed([0.5, -7], (w, v) => w.double(v)) }), null),
    ]).toEqual([0.5, -7]);
    expect([
      ...tensorFloats(typed(DataType.FLOAT16, 2, { int32Data: packed([0x3c00, 0xc000], (w, v) => w.int32(v)) }), null),
    ]).toEqual([1, -2]);
    const values = [0, -1, 127, 128, 300, -300, 2 ** 31, -(2 ** 31) - 5, 2 ** 45 + 3, -(2 ** 52)];
    expect(ints(typed(DataType.INT64, values.length, { int64Data: packed(values, (w, v) => w.int64(v)) }))).toEqual(
      values,
    );
    const narrow = typed(DataType.INT32, 3, { int32Data: packed([5, -6, 2 ** 31 - 1], (w, v) => w.int32(v)) });
    expect([...new Int32Array(Uint8Array.from(tensorBytes(narrow, null)).buffer)]).toEqual([5, -6, 2 ** 31 - 1]);
    const bytes = typed(DataType.UINT8, 3, { int32Data: packed([0, 200, 255], (w, v) => w.int32(v)) });
    expect([...tensorBytes(bytes, null)]).toEqual([0, 200, 255]);
  });

  it('may come in pieces', () => {
    const pieces = [...packed([1, 2], (w, v) => w.float(v)), ...packed([3], (w, v) => w.float(v))];
    expect([...tensorFloats(typed(DataType.FLOAT, 3, { floatData: pieces }), null)]).toEqual([1, 2, 3]);
  });

  it('is refused when it is more or less than the shape says', async () => {
    const model = (count: number) =>
      build({
        input: [3],
        tensors: [
          {
            ...typed(DataType.INT64, 2, { int64Data: packed(new Array<number>(count).fill(-1), (w, v) => w.int64(v)) }),
            name: 's',
          },
        ],
        nodes: [node('Reshape', ['x', 's'], 'y')],
      });
    expect((await model(2)).graph.initializer).toHaveLength(1);
    await expect(model(1)).rejects.toThrow(/initializer s has 8 bytes/);
    await expect(model(3)).rejects.toThrow(/initializer s has 24 bytes/);
  });
});

describe('scalars and finiteness', () => {
  it('are read at any alignment', () => {
    const shifted = (data: Uint8Array) => {
      const buffer = new Uint8Array(data.length + 1);
      buffer.set(data, 1);
      return buffer.subarray(1);
    };
    const values = Float32Array.of(1, 3e38, Number.NaN, 2);
    const tensor = { ...floatTensor('t', [4], values), rawData: shifted(new Uint8Array(values.buffer)) };
    expect(firstNonFinite(tensor, null)).toBe(2);
    expect([...tensorFloats(tensor, null)]).toEqual([...values]);
    const half: TensorProto = {
      name: 'h',
      dims: [3],
      dataType: DataType.FLOAT16,
      rawData: new Uint8Array(Uint16Array.of(0x3c00, 0x7bff, 0x7c00).buffer),
    };
    expect(firstNonFinite(half, null)).toBe(2);
    expect(
      scalarValue(
        {
          name: 's',
          dims: [1],
          dataType: DataType.INT64,
          rawData: shifted(new Uint8Array(BigInt64Array.of(-9n).buffer)),
        },
        null,
      ),
    ).toBe(-9);
  });
});

describe('a file that would fill the memory when decoded', () => {
  const model = () => Buffer.from(encodeModel(proto({ input: [3], tensors: [], nodes: [node('Relu', ['x'], 'y')] })));
  /** A graph field that is merged into the model's graph. */
  function withGraph(content: Buffer): string {
    const writer = protobuf.Writer.create();
    writer.uint32((7 << 3) | 2).bytes(content);
    const path = join(scratch(), 'model.onnx');
    writeFileSync(path, Buffer.concat([model(), writer.finish()]));
    return path;
  }
  const load = (path: string) =>
    loadModel(path, { directory: scratch(), limits: { ...LIMITS, maxGraphNodes: 100_000 } });

  it('is refused by its nodes before they are made', async () => {
    const nodes = Buffer.alloc(4_000_000);
    for (let i = 0; i < nodes.length; i += 2) nodes[i] = (1 << 3) | 2;
    const before = process.memoryUsage().heapUsed;
    await expect(load(withGraph(nodes))).rejects.toMatchObject({
      code: 'limit_exceeded',
      message: expect.stringContaining('MAX_GRAPH_NODES') as string,
    });
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(100e6);
  });

  it('is refused by the size of what is not weights', async () => {
    const infos = Buffer.alloc(70 * 2 ** 20);
    for (let i = 0; i < infos.length; i += 2) infos[i] = (13 << 3) | 2;
    await expect(load(withGraph(infos))).rejects.toMatchObject({ code: 'limit_exceeded' });
  });
});
