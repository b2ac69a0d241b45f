import { existsSync, rmSync } from 'node:fs';
import { lstat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../errors/index.js';
import { openScratch } from '../storage/scratch.js';

/** A directory for the temporary files of this process; what killed processes of the same user left there goes. */
export async function openTemporary(): Promise<string> {
  const uid = process.getuid?.();
  const own = join(tmpdir(), uid === undefined ? 'sparank' : `sparank-${uid}`);
  await mkdir(own, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw new InputError('invalid_request', `no temporary files can be written to ${own}; TMPDIR says where to`, {
      cause: error,
    });
  });
  const found = await lstat(own);
  // The name can be foreseen, and anyone may write to the system's temporary directory.
  if (!found.isDirectory() || (uid !== undefined && found.uid !== uid))
    throw new InputError('invalid_request', `${own} belongs to someone else; TMPDIR says where temporary files go`);
  return (await openScratch(own)).path;
}

const TRIES = 10;
const PAUSE_MS = 25;

/**
 * Removes a directory while the process ends. An operation that was already handed to the file system's threads may
 * still make it, or something in it, a moment later: so until it stays away.
 */
export function removeNow(path: string): void {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (let attempt = 0; attempt < TRIES; attempt++) {
    rmSync(path, { recursive: true, force: true, maxRetries: 3 });
    Atomics.wait(clock, 0, 0, PAUSE_MS);
    if (!existsSync(path)) return;
  }
}
