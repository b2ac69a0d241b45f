import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';
import type { Tensor, TensorData } from './tensor.js';

const CODES: Record<string, string> = {
  Float32Array: '<f4',
  Float64Array: '<f8',
  Uint8Array: '|u1',
  Int8Array: '|i1',
  Uint16Array: '<u2',
  Int16Array: '<i2',
  Uint32Array: '<u4',
  Int32Array: '<i4',
  BigUint64Array: '<u8',
  BigInt64Array: '<i8',
};

/** `tensor` as an .npy file of version 1. */
export function encodeNpy({ dims, data }: Tensor): Buffer {
  const code = CODES[data.constructor.name] ?? '';
  const shape = dims.length === 1 ? `${String(dims[0])},` : dims.join(', ');
  const text = `{'descr': '${code}', 'fortran_order': False, 'shape': (${shape}), }`;
  // Header and data are aligned to 64 bytes, as NumPy does it.
  const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
  const start = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1');
  start.writeUInt16LE(length, 8);
  return Buffer.concat([start, Buffer.from(`${text.padEnd(length - 1)}\n`, 'latin1'), bytesOf(data)]);
}

const bytesOf = (data: TensorData): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Writes arrays as an .npz file, as numpy.savez (or savez_compressed) does. */
export async function writeNpz(
  path: string,
  arrays: Record<string, Tensor>,
  options = { compress: false },
): Promise<void> {
  const zip = new ZipFile();
  for (const [name, tensor] of Object.entries(arrays)) {
    zip.addBuffer(encodeNpy(tensor), `${name}.npy`, {
      compress: options.compress,
      mtime: new Date(Date.UTC(1980, 0, 1)),
    });
  }
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(path));
}
