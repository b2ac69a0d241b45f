import { randomUUID } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes of the columns that are turned at a time. */
const CHUNK_BYTES = 32 * 2 ** 20;

export interface Columns {
  /** Bytes of an element. */
  size: number;
  /** Length of the first axis. */
  rows: number;
  /** Elements of a row. */
  rowLength: number;
  /** Fills `into` from `position`, counted in bytes from the array's first element. */
  read: (into: Uint8Array, position: number) => Promise<void>;
}

/**
 * Writes an array in Fortran order, whose first axis runs fastest, as rows that lie together; their elements keep
 * Fortran's order. Memory stays bounded whatever the size of the array. The file is gone from `directory` when its
 * handle is closed.
 */
export async function rowsOfColumns(
  { size, rows, rowLength, read }: Columns,
  directory: string,
  signal?: AbortSignal,
): Promise<{ file: FileHandle; path: string }> {
  const path = join(directory, `${randomUUID()}.rows`);
  const file = await open(path, 'wx+');
  try {
    const width = Math.max(1, Math.min(rowLength, Math.floor(CHUNK_BYTES / (rows * size))));
    for (let begin = 0; begin < rowLength; begin += width) {
      signal?.throwIfAborted();
      const columns = Math.min(width, rowLength - begin);
      const bytes = new Uint8Array(columns * rows * size);
      await read(bytes, begin * rows * size);
      const part = new Uint8Array(columns * size);
      for (let row = 0; row < rows; row++) {
        for (let j = 0; j < columns; j++) {
          const from = (j * rows + row) * size;
          for (let b = 0; b < size; b++) part[j * size + b] = bytes[from + b];
        }
        await file.write(part, 0, part.length, (row * rowLength + begin) * size);
      }
    }
    return { file, path };
  } catch (error) {
    await file.close();
    await rm(path, { force: true });
    throw error;
  }
}

/** For every element of a row in C order, its place in Fortran order. @param shape of a row */
export function fortranPlaces(shape: readonly number[]): Int32Array {
  const places = new Int32Array(shape.reduce((a, b) => a * b, 1));
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((a, b) => a * b, 1));
  const index = shape.map(() => 0);
  for (let i = 0; i < places.length; i++) {
    places[i] = index.reduce((sum, at, axis) => sum + at * strides[axis], 0);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const next = index[axis] + 1;
      index[axis] = next === shape[axis] ? 0 : next;
      if (next !== shape[axis]) break;
    }
  }
  return places;
}
