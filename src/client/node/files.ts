import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { DamagedError } from '../errors.js';
import type { DownloadOptions } from '../download.js';
import type { Artifact } from '../types.js';
import type { FileToSend } from '../uploads.js';

export async function fileAt(path: string): Promise<FileToSend> {
  const hash = createHash('sha256');
  const { size } = await stat(path);
  await pipeline(createReadStream(path), hash);
  return {
    filename: basename(path),
    bytes: size,
    sha256: hash.digest('hex'),
    body: () => Readable.toWeb(createReadStream(path)) as ReadableStream<Uint8Array<ArrayBuffer>>,
  };
}

const HASH_LETTERS = 16;

/** Feeds what is in the file to the hash; returns how much that is. */
async function hashed(path: string, hash: Hash, most: number): Promise<number> {
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size === 0 || size > most) return 0;
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return size;
}

type Chunks = (options: DownloadOptions) => AsyncIterable<Uint8Array>;

/**
 * Writes an artifact beside `path`, compares it, and moves it there. What a broken download has left is gone on with,
 * also by another process; its name holds the hash, so that it is not taken for a part of another content.
 */
export async function saveTo(
  path: string,
  artifact: Artifact,
  chunks: Chunks,
  options: DownloadOptions,
): Promise<void> {
  const part = `${path}.${artifact.sha256.slice(0, HASH_LETTERS)}.part`;
  for (let fresh = false; ; fresh = true) {
    const hash = createHash('sha256');
    const from = fresh ? 0 : await hashed(part, hash, artifact.bytes);
    const file = await open(part, from === 0 ? 'w' : 'a');
    try {
      for await (const chunk of chunks({ ...options, from })) {
        hash.update(chunk);
        await file.write(chunk);
      }
    } finally {
      await file.close();
    }
    if (hash.digest('hex') === artifact.sha256) break;
    await rm(part, { force: true });
    // What an earlier process left may be the damage: once more, from the beginning.
    if (from === 0) throw new DamagedError(`${artifact.name} was damaged on the way`);
  }
  await rename(part, path);
}
