import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openScratch } from '../src/storage/scratch.js';

const MODULE = new URL('../src/storage/scratch.ts', import.meta.url).href;

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

  it('of another machine are removed when they were not touched for a day', async () => {
    const hour = 3600_000;
    const ages = { 'other-host.1.5.young': 23 * hour, 'other-host.1.5.old': 25 * hour, unknown: 99 * hour };
    for (const [name, age] of Object.entries(ages)) {
      await mkdir(join(root, name, 'files'), { recursive: true });
      const then = new Date(Date.now() - age);
      await utimes(join(root, name), then, then);
    }
    const own = await openScratch(data);
    expect(own.stale).toEqual(['other-host.1.5.old']);
    expect((await readdir(root)).sort()).toEqual([basename(own.path), 'other-host.1.5.young', 'unknown'].sort());
  });

  it('are touched while their process lives', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const own = await openScratch(data);
      const old = new Date(Date.now() - 20 * 3600_000);
      await utimes(own.path, old, old);
      vi.advanceTimersByTime(3600_000);
      await vi.waitFor(async () => expect((await stat(own.path)).mtimeMs).toBeGreaterThan(Date.now() - 60_000));
      await own.remove();
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it('of a process whose id was given to a new one are removed', async () => {
    const [host, pid] = basename((await openScratch(data)).path).split('.');
    const name = `${host}.${pid}.1.abcd`;
    await mkdir(join(root, name));
    expect((await openScratch(data)).stale).toEqual([name]);
  });
});
