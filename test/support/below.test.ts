import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { entriesBelow, filesBelow } from './below.js';

test('a listing outlives directories that go while it is read', async () => {
  const root = await mkdtemp(join(tmpdir(), 'sparank-below-'));
  try {
    await mkdir(join(root, 'kept/deep'), { recursive: true });
    await writeFile(join(root, 'kept/deep/file'), '');
    await writeFile(join(root, 'first'), '');
    expect(await filesBelow(root)).toEqual(['first', 'kept/deep/file']);
    let stop = false;
    const churn = async (name: string) => {
      while (!stop) {
        await mkdir(join(root, name, 'a/b/c'), { recursive: true });
        await rm(join(root, name), { recursive: true });
      }
    };
    const churns = ['x', 'y', 'z'].map(churn);
    for (let i = 0; i < 300; i++) expect(await filesBelow(root)).toEqual(['first', 'kept/deep/file']);
    stop = true;
    await Promise.all(churns);
    expect((await entriesBelow(root)).map(({ name }) => name).sort()).toEqual(['deep', 'file', 'first', 'kept']);
    expect(await filesBelow(join(root, 'absent'))).toEqual([]);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
