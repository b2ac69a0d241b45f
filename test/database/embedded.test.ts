import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/index.js';
import { canConnect } from '../../src/database/embedded/server.js';
import { openDatabase, startEmbedded, type EmbeddedPostgres } from '../../src/database/index.js';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import { createJob } from '../support/jobs.js';
import { quietLog } from '../support/log.js';
import { until } from '../support/until.js';

// Every test makes a cluster of its own, seconds on a busy machine.

let dataDir: string;
let started: EmbeddedPostgres[] = [];
let children: ChildProcess[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sparank-embedded-'));
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  for (const embedded of started) await embedded.stop();
  // A test that failed half-way may have left the server of a killed process.
  const pid = await postmaster().catch(() => null);
  if (pid !== null && alive(pid)) process.kill(pid, 'SIGKILL');
  [started, children] = [[], []];
  await rm(dataDir, { recursive: true, force: true });
});

const start = async () => {
  const embedded = await startEmbedded(dataDir, quietLog);
  started.push(embedded);
  return embedded;
};
/** Not counting a zombie that nobody has collected yet. */
const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return (
    spawnSync('ps', ['-o', 'stat=', '-p', String(pid)])
      .stdout.toString()
      .trim()
      .startsWith('Z') === false
  );
};
const postmaster = async () =>
  Number((await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0]);

/** Another process that uses the same directory. */
async function startProcess(): Promise<{ url: string; child: ChildProcess; leave(): Promise<void> }> {
  const file = fileURLToPath(new URL('../support/embedded-process.ts', import.meta.url));
  const child = fork(file, [dataDir], { execArgv: ['--import', 'tsx'] });
  children.push(child);
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message) => resolve(String(message)));
    child.once('exit', () => reject(new Error('the process ended before it was ready')));
  });
  return {
    url,
    child,
    async leave() {
      child.send('leave');
      await exited;
    },
  };
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('the embedded PostgreSQL', () => {
  it('keeps its data over a restart, its password private, and nothing running afterwards', async () => {
    const first = await start();
    await query(first.url, 'create table kept as select 42 as answer');
    const pid = await postmaster();
    expect((await stat(join(dataDir, 'postgres.json'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dataDir, 'postgres'))).mode & 0o777).toBe(0o700);
    const wrong = new URL(first.url);
    wrong.password = 'wrong';
    expect(await canConnect(wrong.href)).toBe(false);
    await first.stop();
    expect(alive(pid)).toBe(false);
    const second = await start();
    expect(second.url).toBe(first.url);
    expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  });

  it('is started again when it is killed, and the repositories go on', async () => {
    const { url } = await start();
    const database = await openDatabase({ url, settings: readConfig({}), logger: quietLog });
    const { id } = await createJob(database);
    let woken = 0;
    database.notifications.subscribe(id, () => woken++);
    await until('the listener is connected', () => woken > 0);
    const pid = await postmaster();
    process.kill(pid, 'SIGKILL');
    await until('another server', async () => (await postmaster().catch(() => pid)) !== pid && (await canConnect(url)));
    woken = 0;
    expect(await database.jobs.requestCancel(DEFAULT_TEAM, id)).toMatchObject({ job: { status: 'canceled' } });
    await until('notifications are back', () => woken > 0);
    await database.close();
  });

  it('is shared by the processes of a directory, and stopped by the last one', async () => {
    const a = await startProcess();
    const b = await startProcess();
    expect(b.url).toBe(a.url);
    const pid = await postmaster();
    await a.leave();
    expect(await canConnect(b.url)).toBe(true);
    await b.leave();
    expect(alive(pid)).toBe(false);
  });

  it('two processes that begin at the same moment in an empty directory get the same server', async () => {
    const [a, b] = await Promise.all([startProcess(), startProcess()]);
    expect(a.url).toBe(b.url);
    const names = await query(a.url, 'select current_database() as name');
    expect(names).toEqual([{ name: 'sparank' }]);
    await Promise.all([a.leave(), b.leave()]);
    expect(await canConnect(a.url)).toBe(false);
  });

  it('whose process was killed is taken over by the next one, which stops it in the end', async () => {
    const killed = await startProcess();
    const pid = await postmaster();
    killed.child.kill('SIGKILL');
    const next = await start();
    expect(next.url).toBe(killed.url);
    expect(await postmaster()).toBe(pid);
    await until('the killed process is gone from the server', async () => {
      const rows = await query(next.url, "select from pg_stat_activity where application_name = 'sparank watch'");
      return rows.length === 1;
    });
    await next.stop();
    expect(alive(pid)).toBe(false);
  });

  it('starts although a crash left a pid file that names a living process', async () => {
    const first = await start();
    await first.stop();
    await writeFile(join(dataDir, 'postgres', 'postmaster.pid'), `${process.pid}\n${join(dataDir, 'postgres')}\n`);
    const second = await start();
    expect(await canConnect(second.url)).toBe(true);
  });

  it('takes another port when its own is taken', async () => {
    const first = await start();
    await first.stop();
    const { port } = new URL(first.url);
    const squatter = createServer().listen(Number(port), '127.0.0.1');
    await new Promise((resolve) => squatter.once('listening', resolve));
    const second = await start();
    expect(new URL(second.url).port).not.toBe(port);
    expect(await canConnect(second.url)).toBe(true);
    squatter.close();
  });
});
