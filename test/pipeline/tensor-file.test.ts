import { mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTensorFile, TensorFileWriter, writeTensors } from '../../src/pipeline/files/tensor-file.js';

describe('tensor files', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sparank-tensors-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('returns tensors and metadata as written', async () => {
    const path = join(directory, 'a');
    const data = Float32Array.from([1.5, -2, Number.NaN, 3, 4, 5]);
    await writeTensors(
      path,
      { größe: { shape: [2, 3], data }, empty: { shape: [0], data: new Float32Array(0) } },
      { k: [1] },
    );
    const file = await openTensorFile(path);
    expect(file.metadata).toEqual({ k: [1] });
    expect(file.shape('größe')).toEqual([2, 3]);
    expect(file.shape('other')).toBeNull();
    expect(await file.read('größe')).toEqual(data);
    expect(await file.read('empty')).toHaveLength(0);
    await file.close();
  });

  it('takes rows piece by piece, in any order', async () => {
    const path = join(directory, 'b');
    const writer = await TensorFileWriter.create(path, { x: [4] });
    await writer.write('x', Float32Array.from([3, 4]), 2);
    await writer.write('x', Float32Array.from([1, 2]), 0);
    await expect(writer.write('x', Float32Array.from([9, 9]), 3)).rejects.toThrow(RangeError);
    await writer.close();
    const file = await openTensorFile(path);
    expect([...(await file.read('x'))]).toEqual([1, 2, 3, 4]);
    await file.close();
  });

  it('refuses a truncated file instead of returning zeros', async () => {
    const path = join(directory, 'c');
    await writeTensors(path, { x: { shape: [100], data: new Float32Array(100).fill(1) } });
    await truncate(path, 300);
    const file = await openTensorFile(path);
    await expect(file.read('x')).rejects.toThrow(/truncated/);
    await file.close();
  });
});
