import type { Storage } from './storage.js';

/**
 * Whether the storage has the whole of what a row says it has. A restored backup, or a bucket's own rules, may have
 * taken it.
 */
export async function isStored(
  storage: Pick<Storage, 'head'>,
  { key, bytes }: { key: string; bytes: number },
): Promise<boolean> {
  return (await storage.head(key))?.bytes === bytes;
}
