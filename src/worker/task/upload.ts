import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { StepFile } from '../../jobs/tasks.js';
import type { Storage } from '../../storage/storage.js';

const filesIn = (directory: string): Promise<string[]> =>
  readdir(directory).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });

/** Uploads every file of `directory`; a step without files makes none. */
export async function uploadOutput(
  storage: Storage,
  directory: string,
  prefix: string,
  signal: AbortSignal,
): Promise<StepFile[]> {
  const names = (await filesIn(directory)).sort();
  const files: StepFile[] = [];
  for (const name of names) {
    const key = `${prefix}${name}`;
    const stored = await storage.put(key, createReadStream(join(directory, name)), { signal });
    files.push({ name, key, ...stored });
  }
  return files;
}
