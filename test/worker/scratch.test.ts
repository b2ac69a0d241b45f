import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openScratch, removeStaleScratch } from '../../src/worker/scratch.js';

const BUILT = new URL('../../dist/worker/scratch.js', import.meta.url).href;

describe('scratch directories', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'sparank-scratch-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it('are removed by the next process when their own was killed, and only then', async () => {
    const own = await openScratch(root);
    await writeFile(join(own, 'kept'), '');
    const source = `import { openScratch } from '${BUILT}';
      await openScratch(${JSON.stringify(root)}); console.log('open'); setInterval(() => {}, 1000);`;
    const other = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(other.stdout, 'data');
    expect(await removeStaleScratch(root)).toEqual([]);
    other.kill('SIGKILL');
    await once(other, 'close');
    expect(await removeStaleScratch(root)).toHaveLength(1);
    expect(await readdir(root)).toHaveLength(1);
    expect(await readdir(own)).toEqual(['kept']);
  });

  it('of another machine are left alone', async () => {
    await openScratch(join(root, 'x'));
    const name = 'some-other-host.1.0.abcd';
    await openScratch(root);
    await writeFile(join(root, name), '');
    await removeStaleScratch(root);
    expect(await readdir(root)).toContain(name);
  });

  it('of a process whose id was given to a new one are removed', async () => {
    const own = await openScratch(root);
    const [host, pid] = own.slice(root.length + 1).split('.');
    await openScratch(root);
    await writeFile(join(root, `${host}.${pid}.1.abcd`), '');
    expect(await removeStaleScratch(root)).toEqual([`${host}.${pid}.1.abcd`]);
  });

  it('that do not exist yet are no problem', async () => {
    expect(await removeStaleScratch(fileURLToPath(new URL(`file://${root}/none`)))).toEqual([]);
  });
});
