import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { makeInt } from '../../src/models/ir/attributes.js';
import { DataType, type NodeProto, type TensorProto } from '../../src/models/ir/messages.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import { listLayers, loadModel, prepare, Runner } from '../../src/models/index.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { batchOf, build, node, noise, proto, scratch, tensorOf, writeProto, type Sketch } from '../models/graphs.js';
import { LIMITS, localOptions } from './network.js';

/**
 * A network as `onnxruntime.quantization.quantize_static` writes it: int8 weights and int32 biases behind
 * DequantizeLinear, a pair of QuantizeLinear and DequantizeLinear behind every layer, which also is its ReLU.
 */
const WIDTHS = [24, 32, 32, 6];
const LAYERS: readonly number[] = [0, 1, 2];
const PARAMETERS = LAYERS.reduce((sum, i) => sum + ((WIDTHS[i] ?? 0) + 1) * (WIDTHS[i + 1] ?? 0), 0);

const bytes = (name: string, dims: number[], data: Int8Array | Int32Array | Uint8Array): TensorProto => ({
  ...{ name, dims, rawData: new Uint8Array(data.buffer) },
  dataType: data instanceof Int8Array ? DataType.INT8 : data instanceof Int32Array ? DataType.INT32 : DataType.UINT8,
});

const rank4 = (rows: number, columns: number, seed: number): Float32Array => {
  const [p, q] = [noise(rows * 4, seed), noise(4 * columns, seed + 1)];
  const at = (i: number, j: number) =>
    [0, 1, 2, 3].reduce((sum, k) => sum + p[i * 4 + k] * q[k * columns + j], 0) / Math.sqrt(columns);
  return Float32Array.from({ length: rows * columns }, (_, i) => 2 * at(Math.floor(i / columns), i % columns));
};

/** One layer. @param by scales for every output, one for all, or null: it was left as it is */
function layer(i: number, by: 'channel' | 'tensor' | null): { nodes: NodeProto[]; tensors: TensorProto[] } {
  const from = WIDTHS[i] ?? 0;
  const to = WIDTHS[i + 1] ?? 0;
  const n = String(i);
  const name = `fc${n}`;
  const weights = rank4(to, from, 3 + 10 * i);
  const input = i === 0 ? 'x' : `d${String(i - 1)}`;
  const rows = Array.from({ length: to }, (_, r) => weights.subarray(r * from, (r + 1) * from));
  const largest = rows.map((row) => row.reduce((most, w) => Math.max(most, Math.abs(w)), 1e-6) / 127);
  const scales = by === 'channel' ? largest : rows.map(() => Math.max(...largest));
  const count = by === 'channel' ? to : 1;
  const integers = Int8Array.from(weights, (w, at) => Math.round(w / (scales[Math.floor(at / from)] ?? 1)));
  const axis = by === 'channel' ? [makeInt('axis', 0)] : [];
  const dims = by === 'channel' ? [count] : [];
  const last = i === 2;
  const own = Float32Array.from(scales.slice(0, count));
  const plain: TensorProto[] = [floatTensor(`w${n}`, [to, from], weights), tensorOf(`b${n}`, [to])];
  const coded: TensorProto[] = [
    bytes(`w${n}_quantized`, [to, from], integers),
    floatTensor(`w${n}_scale`, dims, own),
    bytes(`w${n}_zero`, dims, new Int8Array(count)),
    bytes(
      `b${n}_quantized`,
      [to],
      Int32Array.from({ length: to }, (_, r) => 40 * (r - to / 2)),
    ),
    floatTensor(
      `b${n}_scale`,
      dims,
      own.map((s) => s * 0.02),
    ),
    bytes(`b${n}_zero`, dims, new Int32Array(count)),
  ];
  const decode = [
    node('DequantizeLinear', [`w${n}_quantized`, `w${n}_scale`, `w${n}_zero`], `w${n}`, axis),
    node('DequantizeLinear', [`b${n}_quantized`, `b${n}_scale`, `b${n}_zero`], `b${n}`, axis),
  ];
  return {
    tensors: [
      ...(by === null ? plain : coded),
      floatTensor(`a${n}_scale`, [], Float32Array.of(0.02)),
      bytes(`a${n}_zero`, [], Uint8Array.of(last ? 128 : 0)),
    ],
    nodes: [
      ...(by === null ? [] : decode),
      node('Gemm', [input, `w${n}`, `b${n}`], `g${n}`, [makeInt('transB', 1)], name),
      node('QuantizeLinear', [`g${n}`, `a${n}_scale`, `a${n}_zero`], `q${n}`),
      node('DequantizeLinear', [`q${n}`, `a${n}_scale`, `a${n}_zero`], last ? 'y' : `d${n}`),
    ],
  };
}

function network(by: 'channel' | 'tensor', left: readonly number[] = []): Sketch {
  const layers = LAYERS.map((i) => layer(i, left.includes(i) ? null : by));
  return {
    input: [24],
    tensors: layers.flatMap(({ tensors }) => tensors),
    nodes: layers.flatMap(({ nodes }) => nodes),
  };
}

async function compress(sketch: Sketch, method: object = {}) {
  const directory = scratch();
  const calibration = join(directory, 'calibration.npz');
  await writeNpz(calibration, { x: { dims: [160, 24], data: noise(160 * 24, 3).map((v) => 2 * v) } });
  const files = { model: writeProto(proto(sketch), directory), calibration, evaluation: calibration };
  const whole = { target: { parameter_ratio: 1.3 }, method: { max_iterations: 6, ...method } };
  const result = await compressLocally({
    ...localOptions(files, join(directory, 'out'), whole),
    evaluation: null,
  });
  const model = await loadModel(join(directory, 'out', 'model.onnx'), { directory, limits: LIMITS });
  return { ...result, model };
}

describe.each(['tensor', 'channel'] as const)('a network that is quantized by %s', (by) => {
  it('is counted like the one it was made of, without scales', async () => {
    const model = prepare(await build(network(by)));
    const { layers, parameters, macs } = await listLayers(model, batchOf([24], 2), { threads: 1 });
    expect(parameters).toBe(PARAMETERS);
    expect(macs).toBe(24 * 32 + 32 * 32 + 32 * 6);
    expect(layers.map(({ parameters: own }) => own)).toEqual(
      LAYERS.map((i) => ((WIDTHS[i] ?? 0) + 1) * (WIDTHS[i + 1] ?? 0)),
    );
  });

  it('is refused with the reason, and with what to send instead', async () => {
    await expect(compress(network(by))).rejects.toThrow(
      /fc0: the weights are quantized \(DequantizeLinear\).*send the network as it was before it was quantized/,
    );
  });

  it('has the layers compressed that were left as they are, between the same scales', async () => {
    const sketch = network(by, [1]);
    const { layers, metrics, model, verdict } = await compress(sketch);
    expect(layers.map(({ name, decision }) => [name, decision])).toEqual([
      ['fc0', 'dense'],
      ['fc1', 'compressed'],
      ['fc2', 'dense'],
    ]);
    expect(layers[0]?.reason).toBe('the weights are quantized (DequantizeLinear)');
    expect(verdict.passed).toBe(true);
    expect(metrics.parameters).toMatchObject({
      before: PARAMETERS,
      after: layers.reduce((sum, row) => sum + row.parameters.after, 0),
    });
    expect(metrics.fidelity.relative_error).toBeLessThan(0.05);
    const kept = new Map(model.graph.initializer.map((tensor) => [tensor.name, tensor]));
    for (const { name, rawData } of sketch.tensors.filter(({ name }) => !/^[wb]1/.test(name)))
      expect(Buffer.from(kept.get(name)?.rawData ?? []).equals(Buffer.from(rawData ?? [])), name).toBe(true);
    const runner = await Runner.open(model, { threads: 1 });
    expect((await runner.run(batchOf([24]))).get('y')?.dims).toEqual([3, 6]);
    await runner.release();
  });
});

describe('a network of quantized operators', () => {
  it('is counted with its weights and biases, without scales', async () => {
    const zero = bytes('zero', [], Uint8Array.of(128));
    const none = bytes('none', [], Int8Array.of(0));
    const sketch: Sketch = {
      input: [3, 4, 4],
      tensors: [
        ...[zero, none, floatTensor('s', [], Float32Array.of(0.02)), floatTensor('ws', [4], noise(4).fill(0.01))],
        bytes('nones', [4], new Int8Array(4)),
        bytes('w', [4, 3, 3, 3], new Int8Array(108).fill(3)),
        bytes('b', [4], new Int32Array(4).fill(7)),
        bytes('v', [16, 5], new Int8Array(80).fill(2)),
        bytes('c', [5], new Int32Array(5).fill(9)),
      ],
      nodes: [
        node('QuantizeLinear', ['x', 's', 'zero'], 'xq'),
        node('QLinearConv', ['xq', 's', 'zero', 'w', 'ws', 'nones', 's', 'zero', 'b'], 'cq', [], 'conv'),
        node('Flatten', ['cq'], 'f'),
        {
          ...node('QGemm', ['f', 's', 'zero', 'v', 's', 'none', 'c', 's', 'zero'], 'gq', [], 'gemm'),
          domain: 'com.microsoft',
        },
        node('DequantizeLinear', ['gq', 's', 'zero'], 'y'),
      ],
    };
    const model = await build(sketch);
    const wide = {
      ...model,
      proto: { ...model.proto, opsetImport: [...model.proto.opsetImport, { domain: 'com.microsoft', version: 1 }] },
    };
    const { layers, parameters, macs } = await listLayers(prepare(wide), batchOf([3, 4, 4], 2), { threads: 1 });
    expect(layers.map(({ name, parameters: own, blocked }) => [name, own, blocked])).toEqual([
      ['conv', 108 + 4, 'quantized convolution (QLinearConv)'],
      ['gemm', 80 + 5, 'quantized product (QGemm)'],
    ]);
    expect(parameters).toBe(108 + 4 + 80 + 5);
    expect(macs).toBe(4 * 108 + 80);
  });
});
