import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Everything below a directory of a running service. What goes while it is read is left out: Node's own recursive
 * listing fails when a directory that it has just seen is removed.
 */
export async function entriesBelow(directory: string): Promise<Dirent[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  const inner = await Promise.all(
    entries.filter((entry) => entry.isDirectory()).map(({ name }) => entriesBelow(join(directory, name))),
  );
  return [...entries, ...inner.flat()];
}

/** Paths of all files below a directory, from there; sorted. */
export async function filesBelow(directory: string): Promise<string[]> {
  return (await entriesBelow(directory))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}
