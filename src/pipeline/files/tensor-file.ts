import { open, type FileHandle } from 'node:fs/promises';
import { InfrastructureError } from '../../errors/index.js';
import { bytesOf, readWhole, writeWhole } from './whole-io.js';

/**
 * Named float32 tensors in one file, in the safetensors layout: u64 header length, JSON header, raw little-endian data.
 * Used for what steps hand to each other; read tensor by tensor, so memory stays at what is used.
 */

interface Entry {
  dtype: 'F32';
  shape: number[];
  data_offsets: [number, number];
}

const WHAT = 'a work file';
const elements = (shape: number[]) => shape.reduce((a, b) => a * b, 1);

/** Writes tensors of shapes that are known beforehand; their rows may arrive in any order and piece by piece. */
export class TensorFileWriter {
  private constructor(
    private readonly file: FileHandle,
    private readonly start: number,
    private readonly entries: Record<string, Entry>,
  ) {}

  static async create(
    path: string,
    shapes: Record<string, number[]>,
    metadata: unknown = {},
  ): Promise<TensorFileWriter> {
    const entries: Record<string, Entry> = {};
    let offset = 0;
    for (const [name, shape] of Object.entries(shapes)) {
      const end = offset + 4 * elements(shape);
      entries[name] = { dtype: 'F32', shape, data_offsets: [offset, end] };
      offset = end;
    }
    const json = JSON.stringify({ __metadata__: { json: JSON.stringify(metadata) }, ...entries });
    // Padded so that the data is aligned to 8 bytes.
    const header = Buffer.from(
      json.padEnd(Math.ceil(Buffer.byteLength(json) / 8) * 8 - Buffer.byteLength(json) + json.length),
    );
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const file = await open(path, 'w', 0o600);
    await file.write(Buffer.concat([length, header]), 0, 8 + header.length, 0);
    await file.truncate(8 + header.length + offset);
    return new TensorFileWriter(file, 8 + header.length, entries);
  }

  /** Writes `data` at element `offset` of tensor `name`. */
  async write(name: string, data: Float32Array, offset = 0): Promise<void> {
    const entry = this.entries[name];
    if (entry === undefined) throw new RangeError(`no tensor ${name} in this file`);
    const [begin, end] = entry.data_offsets;
    const position = begin + 4 * offset;
    if (position + data.byteLength > end) throw new RangeError(`write past the end of ${name}`);
    const bytes = bytesOf(data);
    await writeWhole(this.file, bytes, this.start + position);
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

export interface TensorFile {
  metadata: unknown;
  shape(name: string): number[] | null;
  read(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

export async function openTensorFile(path: string): Promise<TensorFile> {
  const file = await open(path, 'r');
  try {
    const length = Buffer.alloc(8);
    await readWhole(file, length, 0, WHAT);
    const header = Buffer.alloc(Number(length.readBigUInt64LE()));
    await readWhole(file, header, 8, WHAT);
    const { __metadata__: metadata, ...entries } = JSON.parse(header.toString()) as {
      __metadata__: { json: string };
    } & Record<string, Entry>;
    const start = 8 + header.length;
    return {
      metadata: JSON.parse(metadata.json) as unknown,
      shape: (name) => entries[name]?.shape ?? null,
      async read(name) {
        const entry = entries[name];
        if (entry === undefined) throw new InfrastructureError('compute_failed', `a work file has no tensor ${name}`);
        const data = new Float32Array(elements(entry.shape));
        await readWhole(file, bytesOf(data), start + entry.data_offsets[0], WHAT);
        return data;
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Writes whole tensors at once. */
export async function writeTensors(
  path: string,
  tensors: Record<string, { shape: number[]; data: Float32Array }>,
  metadata: unknown = {},
): Promise<void> {
  const shapes = Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape]));
  const writer = await TensorFileWriter.create(path, shapes, metadata);
  try {
    for (const [name, { data }] of Object.entries(tensors)) await writer.write(name, data);
  } finally {
    await writer.close();
  }
}
