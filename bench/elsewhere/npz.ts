/**
 * Arrays of an .npz, read without the product's reader: what measures the product must not share its faults.
 * Little-endian, C order.
 */
import { openPromise, type Entry, type ZipFile } from 'yauzl';

export interface NpzArray {
  shape: number[];
  data: Float32Array;
}

type Decode = (bytes: DataView, count: number) => Float32Array;

const each =
  (size: number, read: (bytes: DataView, at: number) => number): Decode =>
  (bytes, count) => {
    const out = new Float32Array(count);
    for (let i = 0; i < count; i++) out[i] = read(bytes, i * size);
    return out;
  };

/** Of every pattern of 16 bits; looked up, because there are tens of millions of values. */
const HALVES = Float32Array.from({ length: 2 ** 16 }, (_, bits) => {
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15);
});

const DECODERS: Readonly<Record<string, Decode>> = {
  '<f2': each(2, (bytes, at) => HALVES[bytes.getUint16(at, true)] ?? NaN),
  '<f4': each(4, (bytes, at) => bytes.getFloat32(at, true)),
  '<f8': each(8, (bytes, at) => bytes.getFloat64(at, true)),
  '|u1': each(1, (bytes, at) => bytes.getUint8(at)),
  '|i1': each(1, (bytes, at) => bytes.getInt8(at)),
  '<i4': each(4, (bytes, at) => bytes.getInt32(at, true)),
  '<i8': each(8, (bytes, at) => Number(bytes.getBigInt64(at, true))),
};

/** Reads the arrays of an .npz by name. */
export async function readNpz(path: string): Promise<Map<string, NpzArray>> {
  const zip = await openPromise(path, { lazyEntries: true, autoClose: false });
  try {
    const arrays = new Map<string, NpzArray>();
    for (const entry of await entriesOf(zip)) {
      const parts: Buffer[] = [];
      for await (const part of await zip.openReadStreamPromise(entry)) parts.push(part as Buffer);
      arrays.set(entry.fileName.replace(/\.npy$/, ''), readNpy(Buffer.concat(parts), `${path}, ${entry.fileName}`));
    }
    return arrays;
  } finally {
    zip.close();
  }
}

function entriesOf(zip: ZipFile): Promise<Entry[]> {
  return new Promise((resolve, reject) => {
    const entries: Entry[] = [];
    zip.on('entry', (entry: Entry) => {
      entries.push(entry);
      zip.readEntry();
    });
    zip.once('end', () => resolve(entries));
    zip.once('error', reject);
    zip.readEntry();
  });
}

/** The format is that of numpy.lib.format, versions 1 to 3. */
function readNpy(file: Buffer, what: string): NpzArray {
  const long = file.readUInt8(6) > 1;
  const begin = long ? 12 : 10;
  const header = file.subarray(begin, begin + (long ? file.readUInt32LE(8) : file.readUInt16LE(8)));
  const text = header.toString('latin1');
  const descr = /'descr': '([^']+)'/.exec(text)?.[1] ?? '';
  const decode = DECODERS[descr];
  if (decode === undefined || text.includes("'fortran_order': True")) throw new Error(`${what}: cannot read ${text}`);
  const shape = (/'shape': \(([^)]*)\)/.exec(text)?.[1] ?? '')
    .split(',')
    .filter((part) => part.trim() !== '')
    .map(Number);
  const body = file.subarray(begin + header.length);
  const count = shape.reduce((product, size) => product * size, 1);
  return { shape, data: decode(new DataView(body.buffer, body.byteOffset, body.byteLength), count) };
}
