import type { FileHandle } from 'node:fs/promises';
import { InputError } from '../errors/index.js';
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

/** An array inside an open file; rows of its first axis are read one range at a time. */
export class NpyArray {
  private constructor(
    private readonly file: FileHandle,
    private readonly offset: number,
    private readonly code: TypeCode,
    readonly shape: number[],
    readonly name: string,
  ) {}

  /**
   * Reads the header of the .npy data in [offset, offset + bytes) of `file`.
   * @throws {InputError} when it is not a plain C-ordered little-endian array, or its data is incomplete
   */
  static async open(file: FileHandle, offset: number, bytes: number, name: string): Promise<NpyArray> {
    const start = Buffer.alloc(Math.min(12, bytes));
    await readFully(file, start, offset, name);
    if (start.length < 10 || start.toString('latin1', 0, 6) !== '\x93NUMPY')
      throw badDataset(`${name} is not a .npy array`, name);
    const version = start[6] ?? 0;
    if (version < 1 || version > 3) throw badDataset(`${name} has the unknown .npy version ${String(version)}`, name);
    const begin = version === 1 ? 10 : 12;
    if (bytes < begin) throw badDataset(`${name} is truncated`, name);
    const length = version === 1 ? start.readUInt16LE(8) : start.readUInt32LE(8);
    if (length > MAX_HEADER_BYTES || begin + length > bytes) throw badDataset(`${name} has a bad .npy header`, name);
    const header = Buffer.alloc(length);
    await readFully(file, header, offset + begin, name);
    const { code, shape } = parseHeader(header.toString(version === 3 ? 'utf8' : 'latin1'), name);
    const expected = shape.reduce((a, b) => a * b, TYPES[code].size);
    const actual = bytes - begin - length;
    if (!Number.isSafeInteger(expected) || actual !== expected) {
      throw badDataset(
        `${name} of shape [${shape.join(', ')}] takes ${String(expected)} bytes, but has ${String(actual)}`,
        name,
      );
    }
    return new NpyArray(file, offset + begin + length, code, shape, name);
  }

  get type(): string {
    return TYPES[this.code].name;
  }

  /** What is in the file, in NumPy's words: `read` may make another type of it. */
  get storedType(): string {
    return STORED[this.code] ?? this.type;
  }

  /** Elements of one row. */
  get rowLength(): number {
    return this.shape.slice(1).reduce((a, b) => a * b, 1);
  }

  /** Rows [begin, end); 64-bit and 16-bit floats become float32. */
  async read(begin: number, end: number): Promise<TensorData> {
    const { size, decode } = TYPES[this.code];
    const bytes = new Uint8Array((end - begin) * this.rowLength * size);
    await readFully(this.file, bytes, this.offset + begin * this.rowLength * size, this.name);
    return decode(bytes.buffer);
  }
}

/** Reads the three keys of a header; a Python literal of any other form is refused, nothing is evaluated. */
function parseHeader(text: string, name: string): { code: TypeCode; shape: number[] } {
  const body = /^\s*\{(.*)\}\s*$/s.exec(text)?.[1];
  const descr = body === undefined ? null : /['"]descr['"]\s*:\s*(?:['"]([^'"]{1,20})['"]|(\[))/.exec(body);
  const order = body === undefined ? null : /['"]fortran_order['"]\s*:\s*(True|False)/.exec(body);
  const shapeText = body === undefined ? undefined : /['"]shape['"]\s*:\s*\(([\d\s,L]{0,400})\)/.exec(body)?.[1];
  if (descr === null || order === null || shapeText === undefined)
    throw badDataset(`${name} has a bad .npy header`, name);
  if (order[1] === 'True') {
    throw badDataset(`${name} is in Fortran order: save it with numpy.ascontiguousarray`, name);
  }
  const type = descr[1] ?? 'structured';
  if (type.includes('O')) throw badDataset(`${name} holds Python objects (pickle), which are never loaded`, name);
  const code = type.slice(1);
  if (!Object.hasOwn(TYPES, code) || !'<|='.includes(type[0] ?? '')) {
    throw badDataset(`${name} has the element type ${type}; little-endian floats and integers are read`, name);
  }
  const shape = shapeText
    .split(',')
    .map((part) => part.replace('L', '').trim())
    .filter((part) => part !== '')
    .map(Number);
  if (!shape.every(Number.isSafeInteger)) throw badDataset(`${name} has a bad shape (${shapeText})`, name);
  return { code: code as TypeCode, shape };
}

async function readFully(file: FileHandle, into: Uint8Array, position: number, name: string): Promise<void> {
  for (let done = 0; done < into.length;) {
    const { bytesRead } = await file.read(into, done, Math.min(into.length - done, 1 << 30), position + done);
    if (bytesRead === 0) throw badDataset(`${name} is truncated`, name);
    done += bytesRead;
  }
}
