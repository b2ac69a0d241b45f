import { buffer } from 'node:stream/consumers';
import type { Readable } from 'node:stream';
import { ZipFile } from 'yazl';
import { encodeNpy } from '../../src/datasets/write-npz.js';
import { makeInts } from '../../src/models/ir/attributes.js';
import { encodeModel } from '../../src/models/ir/codec.js';
import { DataType, EXTERNAL, type ModelProto, type NodeProto, type TensorProto } from '../../src/models/ir/messages.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import { node, noise, proto, tensorOf } from '../models/graphs.js';

/** Input of every model here, without the batch. */
export const SAMPLE = [8, 6, 6];

export const bytes = (model: ModelProto): Buffer => Buffer.from(encodeModel(model));

const pads = () => makeInts('pads', [1, 1, 1, 1]);
const conv = (input: string, i: number, output: string): NodeProto =>
  node('Conv', [input, `w${i}`, `b${i}`], output, [pads()], `conv${i}`);

/** Two convolutions; `change` makes something of their tensors, `more` follows them. */
export function convNet(
  options: { change?: (tensors: TensorProto[]) => void; more?: { nodes: NodeProto[]; tensors: TensorProto[] } } = {},
): ModelProto {
  const tensors = [
    tensorOf('w0', [32, 8, 3, 3], 1),
    tensorOf('b0', [32], 2),
    tensorOf('w1', [32, 32, 3, 3], 3),
    tensorOf('b1', [32], 4),
  ];
  options.change?.(tensors);
  const last = options.more === undefined ? 'y' : 'features';
  const nodes = [
    conv('x', 0, 'c0'),
    node('Relu', ['c0'], 'r0', [], 'relu0'),
    conv('r0', 1, 'c1'),
    node('Relu', ['c1'], last, [], 'relu1'),
  ];
  return proto({
    nodes: [...nodes, ...(options.more?.nodes ?? [])],
    tensors: [...tensors, ...(options.more?.tensors ?? [])],
    input: SAMPLE,
  });
}

export const filled = (name: string, dims: number[], value: number): TensorProto =>
  floatTensor(name, dims, new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(value));

export const shapeTensor = (name: string, values: number[]): TensorProto => ({
  name,
  dims: [values.length],
  dataType: DataType.INT64,
  rawData: Buffer.from(BigInt64Array.from(values, BigInt).buffer),
});

/** The network with its first weights in another file. */
export function withExternalData(location: string): Buffer {
  return bytes(
    convNet({
      change: (tensors) => {
        tensors[0] = {
          name: 'w0',
          dims: [32, 8, 3, 3],
          dataType: DataType.FLOAT,
          dataLocation: EXTERNAL,
          externalData: [
            { key: 'location', value: location },
            { key: 'offset', value: '0' },
            { key: 'length', value: String(4 * 32 * 8 * 9) },
          ],
        };
      },
    }),
  );
}

/** A second input, added to the first. */
export function twoInputs(): Buffer {
  const model = convNet();
  const [first] = model.graph?.input ?? [];
  const [start] = model.graph?.node ?? [];
  if (model.graph == null || first === undefined || start === undefined) throw new Error('no graph');
  model.graph.input.push({ ...first, name: 'second' });
  start.input[0] = 'sum';
  model.graph.node.unshift(node('Add', ['x', 'second'], 'sum'));
  return bytes(model);
}

export async function zip(entries: Record<string, Buffer>, compress = true): Promise<Buffer> {
  const file = new ZipFile();
  for (const [name, content] of Object.entries(entries)) file.addBuffer(content, name, { compress });
  file.end();
  return buffer(file.outputStream as Readable);
}

/** The name of an entry as no archiver would write it: same length. */
export function renamed(archive: Buffer, from: string, to: string): Buffer {
  if (from.length !== to.length) throw new RangeError('the names must have the same length');
  return Buffer.from(archive.toString('latin1').replaceAll(from, to), 'latin1');
}

/** A zip whose directory claims that its entries are `claimed` bytes long. */
export function lying(archive: Buffer, claimed: number): Buffer {
  const copy = Buffer.from(archive);
  const at = copy.indexOf(Buffer.from('PK\x01\x02', 'latin1'));
  copy.writeUInt32LE(claimed, at + 24);
  return copy;
}

export const npz = (arrays: Record<string, Parameters<typeof encodeNpy>[0]>, compress = false): Promise<Buffer> =>
  zip(Object.fromEntries(Object.entries(arrays).map(([name, array]) => [`${name}.npy`, encodeNpy(array)])), compress);

export const samples = (count: number, shape = SAMPLE, change?: (data: Float32Array) => void) => {
  const data = noise(count * shape.reduce((a, b) => a * b, 1), 9);
  change?.(data);
  return { dims: [count, ...shape], data };
};

/** What numpy.savez writes of an array of objects: a header, and a pickle that would run a command. */
export function pickled(): Promise<Buffer> {
  const header = "{'descr': '|O', 'fortran_order': False, 'shape': (32,), }";
  const start = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1');
  start.writeUInt16LE(118, 8);
  const pickle = Buffer.from('cposix\nsystem\n(S"touch /tmp/pickle-was-run"\ntR.');
  return zip({ 'x.npy': Buffer.concat([start, Buffer.from(`${header.padEnd(117)}\n`), pickle]) }, false);
}
