import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openScratch } from '../src/scratch.js';

const MODULE = new URL('../src/scratch.ts', import.meta.url).href;

describe('scratch directories', () => {
  let data: string;
  let root: string;
  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), 'sparank-scratch-'));
    root = join(data, 'scratch');
  });
  afterEach(() => rm(data, { recursive: true, force: true }));

  it('are removed by the next process when their own was killed, and only then', async () => {
    const own = await openScratch(data);
    await writeFile(join(own.path, 'kept'), '');
    const source = `import { openScratch } from '${MODULE}';
      await openScratch(${JSON.stringify(data)}); console.log('open'); setInterval(() => {}, 1000);`;
    const other = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(other.stdout, 'data');
    const third = await openScratch(data);
    expect(third.stale).toEqual([]);
    other.kill('SIGKILL');
    await once(other, 'close');
    const fourth = await openScratch(data);
    expect(fourth.stale).toHaveLength(1);
    expect((await readdir(root)).sort()).toEqual([own, third, fourth].map(({ path }) => basename(path)).sort());
    expect(await readdir(own.path)).toEqual(['kept']);
  });

  it('are gone after remove', async () => {
    const own = await openScratch(data);
    await writeFile(join(own.path, 'file'), '');
    await own.remove();
    expect(await readdir(root)).toEqual([]);
  });

  it('of another machine are left alone', async () => {
    const name = 'some-other-host.1.0.abcd';
    await mkdir(join(root, name), { recursive: true });
    expect((await openScratch(data)).stale).toEqual([]);
    expect(await readdir(root)).toContain(name);
  });

  it('of a process whose id was given to a new one are removed', async () => {
    const [host, pid] = basename((await openScratch(data)).path).split('.');
    const name = `${host}.${pid}.1.abcd`;
    await mkdir(join(root, name));
    expect((await openScratch(data)).stale).toEqual([name]);
  });
});
