import type { FileHandle } from 'node:fs/promises';
import { InputError } from '../errors/index.js';
import { fortranPlaces, rowsOfColumns } from './fortran.js';
import { halfToFloat } from './half.js';
import type { TensorData } from './tensor.js';

/** Element types of NumPy that are read; `name` is ONNX Runtime's name of what `decode` returns. */
const TYPES = {
  f4: { size: 4, name: 'float32', decode: (b: ArrayBuffer) => new Float32Array(b) },
  f8: { size: 8, name: 'float32', decode: (b: ArrayBuffer) => Float32Array.from(new Float64Array(b)) },
  f2: { size: 2, name: 'float32', decode: (b: ArrayBuffer) => Float32Array.from(new Uint16Array(b), halfToFloat) },
  u1: { size: 1, name: 'uint8', decode: (b: ArrayBuffer) => new Uint8Array(b) },
  b1: { size: 1, name: 'uint8', decode: (b: ArrayBuffer) => new Uint8Array(b) },
  i1: { size: 1, name: 'int8', decode: (b: ArrayBuffer) => new Int8Array(b) },
  u2: { size: 2, name: 'uint16', decode: (b: ArrayBuffer) => new Uint16Array(b) },
  i2: { size: 2, name: 'int16', decode: (b: ArrayBuffer) => new Int16Array(b) },
  u4: { size: 4, name: 'uint32', decode: (b: ArrayBuffer) => new Uint32Array(b) },
  i4: { size: 4, name: 'int32', decode: (b: ArrayBuffer) => new Int32Array(b) },
  u8: { size: 8, name: 'uint64', decode: (b: ArrayBuffer) => new BigUint64Array(b) },
  i8: { size: 8, name: 'int64', decode: (b: ArrayBuffer) => new BigInt64Array(b) },
} as const satisfies Record<string, { size: number; name: string; decode: (bytes: ArrayBuffer) => TensorData }>;

type TypeCode = keyof typeof TYPES;

/** NumPy's names, where they are not those of what is read. */
const STORED: Partial<Record<TypeCode, string>> = { f8: 'float64', f2: 'float16', b1: 'bool' };

/** Headers longer than this are no headers of plain arrays. */
const MAX_HEADER_BYTES = 1 << 16;

export const badDataset = (detail: string, array: string): InputError =>
  new InputError('invalid_dataset', detail, { faults: [{ pointer: `#dataset/${array}`, detail }] });

interface Header {
  code: TypeCode;
  shape: number[];
  bigEndian: boolean;
  fortran: boolean;
}

/** Where the data of an array begins. */
interface Place {
  file: FileHandle;
  offset: number;
}

/** Samples for one input, the first axis theirs, read a range at a time. */
export interface Rows {
  /** What the client calls the array. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: string;
  readonly storedType: string;
  /** Elements of one row. */
  readonly rowLength: number;
  read(begin: number, end: number): Promise<TensorData>;
}

/** An array inside an open file; rows of its first axis are read one range at a time. */
export class NpyArray implements Rows {
  /** Of an array in Fortran order: where the elements of a row are, in C order. */
  private places: Int32Array | null = null;

  private constructor(
    private place: Place,
    private readonly header: Header,
    readonly name: string,
  ) {}

  /**
   * Reads the header of the .npy data in [offset, offset + bytes) of `file`.
   * @throws {InputError} when it is not a plain array of numbers, or its data is incomplete
   */
  static async open(file: FileHandle, offset: number, bytes: number, name: string): Promise<NpyArray> {
    const start = Buffer.alloc(Math.min(12, bytes));
    await readFully(file, start, offset, name);
    if (start.length < 10 || start.toString('latin1', 0, 6) !== '\x93NUMPY')
      throw badDataset(`${name} is not a .npy array`, name);
    const version = start[6];
    if (version < 1 || version > 3) throw badDataset(`${name} has the unknown .npy version ${String(version)}`, name);
    const begin = version === 1 ? 10 : 12;
    if (bytes < begin) throw badDataset(`${name} is truncated`, name);
    const length = version === 1 ? start.readUInt16LE(8) : start.readUInt32LE(8);
    if (length > MAX_HEADER_BYTES || begin + length > bytes) throw badDataset(`${name} has a bad .npy header`, name);
    const header = Buffer.alloc(length);
    await readFully(file, header, offset + begin, name);
    const parsed = parseHeader(header.toString(version === 3 ? 'utf8' : 'latin1'), name);
    const { code, shape } = parsed;
    const expected = shape.reduce((a, b) => a * b, TYPES[code].size);
    const actual = bytes - begin - length;
    if (!Number.isSafeInteger(expected) || actual !== expected) {
      throw badDataset(
        `${name} of shape [${shape.join(', ')}] takes ${String(expected)} bytes, but has ${String(actual)}`,
        name,
      );
    }
    return new NpyArray({ file, offset: offset + begin + length }, parsed, name);
  }

  get shape(): number[] {
    return this.header.shape;
  }

  get type(): string {
    return TYPES[this.header.code].name;
  }

  /** The element type in the file, as NumPy calls it. */
  get storedType(): string {
    return STORED[this.header.code] ?? this.type;
  }

  /** Elements of one row. */
  get rowLength(): number {
    return this.shape.slice(1).reduce((a, b) => a * b, 1);
  }

  /** Whether rows do not lie together in the file: `turn` has to come before `read`. */
  get isFortran(): boolean {
    return this.header.fortran && this.places === null;
  }

  /**
   * Writes an array in Fortran order to a file in `directory` that has its rows together, for the caller to close and
   * remove.
   */
  async turn(directory: string, signal?: AbortSignal): Promise<{ file: FileHandle; path: string }> {
    const { file, offset } = this.place;
    const read = (into: Uint8Array, position: number) => readFully(file, into, offset + position, this.name);
    const { size } = TYPES[this.header.code];
    const columns = { size, rows: this.shape[0] ?? 0, rowLength: this.rowLength, read };
    const turned = await rowsOfColumns(columns, directory, signal);
    this.place = { file: turned.file, offset: 0 };
    this.places = fortranPlaces(this.shape.slice(1));
    return turned;
  }

  /** Rows [begin, end) in C order; 64-bit and 16-bit floats become float32. */
  async read(begin: number, end: number): Promise<TensorData> {
    const { size, decode } = TYPES[this.header.code];
    const row = this.rowLength * size;
    const bytes = new Uint8Array((end - begin) * row);
    await readFully(this.place.file, bytes, this.place.offset + begin * row, this.name);
    if (this.header.bigEndian) swap(bytes, size);
    const data = decode(bytes.buffer);
    return this.places === null ? data : inOrder(data, this.places);
  }
}

/** Turns the bytes of every element around. */
function swap(bytes: Uint8Array, size: number): void {
  const buffer = Buffer.from(bytes.buffer);
  if (size === 2) buffer.swap16();
  else if (size === 4) buffer.swap32();
  else if (size === 8) buffer.swap64();
}

/** Rows whose element i lies at `places[i]`, put in order. */
function inOrder<T extends TensorData>(data: T, places: Int32Array): T {
  const ordered = data.slice() as T;
  for (let begin = 0; begin < data.length; begin += places.length)
    for (let i = 0; i < places.length; i++) ordered[begin + i] = data[begin + places[i]];
  return ordered;
}

/** Reads the three keys of a header; a Python literal of any other form is refused, nothing is evaluated. */
function parseHeader(text: string, name: string): Header {
  const body = /^\s*\{(.*)\}\s*$/s.exec(text)?.[1];
  const descr = body === undefined ? null : /['"]descr['"]\s*:\s*(?:['"]([^'"]{1,20})['"]|(\[))/.exec(body);
  const order = body === undefined ? null : /['"]fortran_order['"]\s*:\s*(True|False)/.exec(body);
  const shapeText = body === undefined ? undefined : /['"]shape['"]\s*:\s*\(([\d\s,L]{0,400})\)/.exec(body)?.[1];
  if (descr === null || order === null || shapeText === undefined)
    throw badDataset(`${name} has a bad .npy header`, name);
  const type = descr[1] ?? 'structured';
  if (type.includes('O')) throw badDataset(`${name} holds Python objects (pickle), which are never loaded`, name);
  const code = type.slice(1);
  if (!Object.hasOwn(TYPES, code) || !'<>|='.includes(type[0] ?? '')) {
    throw badDataset(`${name} has the element type ${type}; floats and integers are read`, name);
  }
  const shape = shapeText
    .split(',')
    .map((part) => part.replace('L', '').trim())
    .filter((part) => part !== '')
    .map(Number);
  if (!shape.every(Number.isSafeInteger)) throw badDataset(`${name} has a bad shape (${shapeText})`, name);
  const fortran = order[1] === 'True' && shape.filter((n) => n > 1).length > 1;
  return { code: code as TypeCode, shape, bigEndian: type.startsWith('>'), fortran };
}

async function readFully(file: FileHandle, into: Uint8Array, position: number, name: string): Promise<void> {
  for (let done = 0; done < into.length;) {
    const { bytesRead } = await file.read(into, done, Math.min(into.length - done, 1 << 30), position + done);
    if (bytesRead === 0) throw badDataset(`${name} is truncated`, name);
    done += bytesRead;
  }
}
