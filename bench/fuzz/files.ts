import { seededRandom } from '../../src/compression/linalg/random.js';
import { encodeNpy } from '../../src/datasets/index.js';
import { makeInts, makeNode } from '../../src/models/ir/attributes.js';
import { encodeModel } from '../../src/models/ir/codec.js';
import { DataType, type ModelProto, type NodeProto, type TensorProto } from '../../src/models/ir/messages.js';
import { floatTensor, int64Tensor } from '../../src/models/ir/tensors.js';
import { withFunctions } from './function-model.js';
import { mutateProtobuf } from './protobuf.js';
import { lieInZip, zipOf } from './zip.js';

export const KINDS = ['onnx', 'onnx_zip', 'npz'] as const;
export type Kind = (typeof KINDS)[number];

export interface FuzzedFile {
  kind: Kind;
  /** How it was changed. */
  how: string;
  bytes: Buffer;
}

/** Input of the model, without the batch, and of the datasets. */
export const SAMPLE = [3, 6, 6];
const SAMPLES = 4;

function model(): ModelProto {
  const values = (dims: number[]) =>
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i));
  const tensor = (name: string, dims: number[]): TensorProto => floatTensor(name, dims, values(dims));
  const node = (op: string, inputs: string[], output: string, more: NodeProto['attribute'] = []) =>
    makeNode(op, output, inputs, [output], more);
  return {
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    producerName: 'fuzz',
    graph: {
      name: 'graph',
      node: [
        node('Conv', ['x', 'w0', 'b0'], 'c0', [makeInts('pads', [1, 1, 1, 1]), makeInts('strides', [1, 1])]),
        node('BatchNormalization', ['c0', 'scale', 'shift', 'mean', 'variance'], 'n0'),
        node('Relu', ['n0'], 'a0'),
        node('Conv', ['a0', 'w1'], 'c1', [makeInts('pads', [1, 1, 1, 1])]),
        node('Add', ['a0', 'c1'], 's1'),
        node('MaxPool', ['s1'], 'p1', [makeInts('kernel_shape', [2, 2]), makeInts('strides', [2, 2])]),
        node('Reshape', ['p1', 'shape'], 'f1'),
        node('Gemm', ['f1', 'w2', 'b2'], 'y'),
      ],
      initializer: [
        tensor('w0', [8, 3, 3, 3]),
        tensor('b0', [8]),
        ...['scale', 'shift', 'mean', 'variance'].map((name) => floatTensor(name, [8], new Float32Array(8).fill(0.5))),
        tensor('w1', [8, 8, 3, 3]),
        int64Tensor('shape', [2], [-1, 72]),
        tensor('w2', [72, 5]),
        tensor('b2', [5]),
      ],
      input: [
        {
          name: 'x',
          type: {
            tensorType: {
              elemType: DataType.FLOAT,
              shape: { dim: [{ dimParam: 'batch' }, ...SAMPLE.map((dimValue) => ({ dimValue }))] },
            },
          },
        },
      ],
      output: [{ name: 'y', type: { tensorType: { elemType: DataType.FLOAT } } }],
      valueInfo: [],
    },
  };
}

const MODEL = Buffer.from(encodeModel(model()));
const WITH_FUNCTIONS = Buffer.from(encodeModel(withFunctions(model())));

/** Values of weights and statistics that no training gives. */
const STRANGE = [0, -0, NaN, Infinity, -Infinity, 1e-45, 1e-38, 1e20, 3.4e38, -1, -1e-5, -3.4e38];

/** A model in which some numbers of some tensors are strange, or all of one. */
function strangeNumbers(integer: (below: number) => number): Buffer {
  const proto = model();
  for (let n = 1 + integer(3); n > 0; n--) {
    const tensors = proto.graph?.initializer.filter(({ dataType }) => dataType === DataType.FLOAT) ?? [];
    const raw = tensors[integer(tensors.length)]?.rawData;
    if (raw === undefined) continue;
    const floats = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const value = STRANGE[integer(STRANGE.length)] ?? 0;
    const all = integer(4) === 0;
    const at = integer(raw.length / 4);
    for (let i = 0; i < raw.length / 4; i++) if (all || i === at) floats.setFloat32(4 * i, value, true);
  }
  return Buffer.from(encodeModel(proto));
}

/** The same model with a tensor in a file of its own. */
function external(): { model: Buffer; data: Buffer } {
  const proto = model();
  const tensor = proto.graph?.initializer.find(({ name }) => name === 'w1');
  if (tensor === undefined) throw new Error('the model has no w1');
  const data = Buffer.from(tensor.rawData ?? new Uint8Array());
  delete tensor.rawData;
  const pairs = { location: 'weights.bin', offset: '0', length: String(data.length) };
  tensor.dataLocation = 1;
  tensor.externalData = Object.entries(pairs).map(([key, value]) => ({ key, value }));
  return { model: Buffer.from(encodeModel(proto)), data };
}

const EXTERNAL = external();
/** Calibration data for the models. */
export const X = encodeNpy({
  dims: [SAMPLES, ...SAMPLE],
  data: Float32Array.from({ length: SAMPLES * 108 }, (_, i) => Math.cos(i)),
});
const Y = encodeNpy({ dims: [SAMPLES], data: BigInt64Array.from([0n, 1n, 2n, 3n]) });

const DESCRS = [
  "'<f4'",
  "'>f4'",
  "'<f8'",
  "'<f2'",
  "'|u1'",
  "'|O'",
  "'|S99999999'",
  "'<c8'",
  "'<i8'",
  "[('a','<f4')]",
  "''",
  '0',
  "'<f'",
];
const SHAPES = [
  '(4, 3, 6, 6)',
  '()',
  '(0,)',
  '(4,)',
  '(-4, 3, 6, 6)',
  '(4, 3, 6)',
  '(4, 3, 6, 6, 1)',
  '(9007199254740993, 3, 6, 6)',
  '(4, 0, 6, 6)',
  '(1000000000, 0)',
  '(65536, 65536, 65536, 65536)',
  '(4, 3, 6, 7)',
  '(4.0, 3)',
  'None',
  '(4, (3,), 6)',
  `(${'1, '.repeat(500)})`,
];
const ORDERS = ['False', 'True', '0', 'None'];

/** An array whose header is not true; its own length is, mostly. */
function lyingNpy(integer: (below: number) => number, data: Buffer): Buffer {
  const one = (texts: string[]) => texts[integer(texts.length)] ?? '';
  const header = `{'descr': ${integer(2) ? "'<f4'" : one(DESCRS)}, 'fortran_order': ${integer(3) ? 'False' : one(ORDERS)}, 'shape': ${one(SHAPES)}, }`;
  const text = Buffer.from(`${header}${' '.repeat(integer(64))}\n`);
  const version = integer(8) === 0 ? integer(256) : 1 + integer(3);
  const length = Buffer.alloc(version === 1 ? 2 : 4);
  const said = integer(6) === 0 ? integer(65536) : text.length;
  if (version === 1) length.writeUInt16LE(said % 65536);
  else length.writeUInt32LE(integer(10) === 0 ? 0xffffffff : said);
  return Buffer.concat([Buffer.from('\x93NUMPY', 'latin1'), Buffer.from([version, 0]), length, text, data]);
}

function bytesChanged(bytes: Buffer, integer: (below: number) => number): Buffer {
  const changed = Buffer.from(bytes);
  for (let n = 1 + integer(8); n > 0; n--) changed[integer(changed.length)] = integer(256);
  return changed;
}

const cut = (bytes: Buffer, integer: (below: number) => number) => bytes.subarray(0, integer(bytes.length));

/** The file with this number: the same for the same seed. */
export function fuzzedFile(seed: number, number: number): FuzzedFile {
  const random = seededRandom(seed * 1_000_003 + number);
  const integer = (below: number) => Math.floor(random() * below);
  const deflate = () => integer(2) === 0;
  const protobuf = (bytes: Buffer) => {
    let changed = bytes;
    for (let n = 1 + integer(3); n > 0; n--) changed = mutateProtobuf(changed, integer);
    return changed;
  };
  const kind = KINDS[[0, 0, 1, 2, 2][integer(5)] ?? 0] ?? 'onnx';
  if (kind === 'onnx') {
    const at = integer(16);
    if (at === 0) return { kind, how: 'cut', bytes: cut(MODEL, integer) };
    if (at === 1) return { kind, how: 'bytes', bytes: bytesChanged(MODEL, integer) };
    if (at < 4) return { kind, how: 'numbers', bytes: strangeNumbers(integer) };
    if (at < 9) return { kind, how: 'functions', bytes: protobuf(WITH_FUNCTIONS) };
    return { kind, how: 'fields', bytes: protobuf(MODEL) };
  }
  const changeInside = integer(2) === 0;
  const entries =
    kind === 'onnx_zip'
      ? [
          { name: 'm.onnx', data: changeInside ? protobuf(EXTERNAL.model) : EXTERNAL.model, deflate: deflate() },
          {
            name: 'weights.bin',
            data: integer(8) === 0 ? cut(EXTERNAL.data, integer) : EXTERNAL.data,
            deflate: deflate(),
          },
        ]
      : [
          { name: 'x.npy', data: changeInside ? lyingNpy(integer, X.subarray(128)) : X, deflate: deflate() },
          { name: 'y.npy', data: integer(8) === 0 ? bytesChanged(Y, integer) : Y, deflate: deflate() },
        ];
  if (integer(20) === 0) entries.push(...entries.slice(integer(2)));
  const zip = zipOf(entries);
  if (changeInside) return { kind, how: 'content', bytes: zip };
  const at = integer(8);
  if (at === 0) return { kind, how: 'cut', bytes: cut(zip, integer) };
  if (at === 1) return { kind, how: 'bytes', bytes: bytesChanged(zip, integer) };
  let lied = zip;
  for (let n = 1 + integer(2); n > 0; n--) lied = lieInZip(lied, integer);
  return { kind, how: 'directory', bytes: lied };
}
