import type { FileHandle } from 'node:fs/promises';
import { InfrastructureError } from '../../errors/index.js';

/** One read call is limited to 2 GiB by the platform. */
const READ_BYTES = 1 << 30;

/** The bytes of `data`, not copied. */
export const bytesOf = (data: Float32Array) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/**
 * Fills `into` from byte `position` of the file. @throws {InfrastructureError} when the file ends before, named by
 * `what`
 */
export async function readWhole(file: FileHandle, into: Uint8Array, position: number, what: string): Promise<void> {
  for (let done = 0; done < into.length;) {
    const { bytesRead } = await file.read(into, done, Math.min(into.length - done, READ_BYTES), position + done);
    if (bytesRead === 0) throw new InfrastructureError('compute_failed', `${what} is truncated`);
    done += bytesRead;
  }
}

/** Writes all of `bytes` at byte `position` of the file. */
export async function writeWhole(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
