import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ActivationStore } from '../../src/pipeline/files/activation-store.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparank-activations-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

it('returns every batch as appended and removes its files', async () => {
  const store = new ActivationStore(directory);
  await store.append('a/x', Float32Array.from([1, 2, 3, 4]), [2, 2]);
  await store.append('b', Float32Array.from([9]), [1]);
  await store.append('a/x', Float32Array.from([5, 6]), [1, 2]);
  expect(await store.read('a/x', 1)).toEqual({ dims: [1, 2], data: Float32Array.from([5, 6]) });
  expect((await store.read('a/x', 0)).data).toEqual(Float32Array.from([1, 2, 3, 4]));
  await expect(store.read('a/x', 2)).rejects.toThrow(RangeError);
  await store.drop('a/x');
  expect(store.has('a/x')).toBe(false);
  expect(await readdir(directory)).toHaveLength(1);
  await store.close();
  expect(await readdir(directory)).toHaveLength(0);
});
