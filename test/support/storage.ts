import type { Storage } from '../../src/storage/storage.js';

/** `storage` with some of its methods replaced. */
export const changedStorage = (storage: Storage, change: Partial<Storage>): Storage => ({
  put: (...args) => storage.put(...args),
  putNew: (...args) => storage.putNew(...args),
  get: (...args) => storage.get(...args),
  head: (...args) => storage.head(...args),
  copy: (...args) => storage.copy(...args),
  delete: (...args) => storage.delete(...args),
  deletePrefix: (...args) => storage.deletePrefix(...args),
  list: (...args) => storage.list(...args),
  presign: (...args) => storage.presign(...args),
  download: (...args) => storage.download(...args),
  check: () => storage.check(),
  ...change,
});

/** All keys below a prefix. */
export async function keysOf(storage: Storage, prefix = ''): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.list(prefix)) keys.push(key);
  return keys;
}
