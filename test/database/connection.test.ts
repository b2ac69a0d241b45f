import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/index.js';
import { freePort } from '../../src/database/embedded/server.js';
import { openDatabase } from '../../src/database/index.js';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import { guarded, isTransientError, withQuickTries } from '../../src/database/connection/transient-errors.js';
import { InputError } from '../../src/errors/index.js';
import { PostgresClient } from '../../src/database/connection/postgres-client.js';
import { Proxy } from '../../bench/siege/proxy.js';
import { createJob, finishNext } from '../support/jobs.js';
import { quietLog } from '../support/log.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { runSql } from '../support/teams.js';
import { until } from '../support/until.js';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

describe('a lost connection', () => {
  it('is not seen by the caller when the database is back at once', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    for (let i = 0; i < 5; i++) {
      await postgres.cutConnections(database.url);
      expect(await database.jobs.get(DEFAULT_TEAM, id)).toMatchObject({ id });
      await postgres.cutConnections(database.url);
      await createJob(database);
    }
    expect((await database.jobs.list(DEFAULT_TEAM, { limit: 50 })).data).toHaveLength(6);
  });

  it('cut in the middle of many writes makes no job twice and loses none', async () => {
    const database = await postgres.open();
    const jobs = Array.from({ length: 20 }, async (_, i) => {
      await sleep(i * 10);
      return createJob(database);
    });
    await sleep(60);
    await postgres.cutConnections(database.url);
    await sleep(60);
    await postgres.cutConnections(database.url);
    const ids = (await Promise.all(jobs)).map((job) => job.id);
    const stored = (await database.jobs.list(DEFAULT_TEAM, { limit: 50 })).data.map((job) => job.id);
    expect(stored.sort()).toEqual(ids.sort());
  });

  it('in the hands of somebody who does not listen is no uncaught exception', async () => {
    const url = await postgres.createDatabase();
    const pool = new pg.Pool({ connectionString: url, Client: PostgresClient });
    pool.on('error', () => undefined);
    const client = await pool.connect();
    const ended = new Promise((resolve) => client.once('end', resolve));
    await postgres.cutConnections(url);
    await ended;
    await expect(client.query('select 1')).rejects.toThrow();
    client.release(true);
    await pool.end();
  });

  it('to a database that is away is an error of ours that says so, and not for long', async () => {
    const port = await freePort();
    const begin = Date.now();
    const settings = readConfig({});
    await expect(
      openDatabase({ url: `postgresql://x:y@127.0.0.1:${port}/z`, settings, logger: quietLog }),
    ).rejects.toMatchObject({ code: 'unavailable', origin: 'infrastructure', message: 'the database does not answer' });
    expect(Date.now() - begin).toBeLessThan(10_000);
  });

  it('is told from errors that trying again cannot help', async () => {
    expect(isTransientError(Object.assign(new Error('x'), { code: '57P01' }))).toBe(true);
    expect(
      isTransientError({
        code: 'P2010',
        meta: { driverAdapterError: { cause: { kind: 'postgres', originalCode: '40P01' } } },
      }),
    ).toBe(true);
    expect(isTransientError(Object.assign(new Error('x'), { code: '23505' }))).toBe(false);
    expect(isTransientError(new Error('column does not exist'))).toBe(false);
    // What a client wrote, quoted.
    const quoted = 'invalid input syntax for type json: "connection terminated"';
    expect(isTransientError(Object.assign(new Error(quoted), { code: '22P02' }))).toBe(false);
    expect(
      isTransientError({
        message: quoted,
        code: 'P2010',
        meta: { driverAdapterError: { cause: { originalCode: '22P02' } } },
      }),
    ).toBe(false);
    expect(isTransientError(Object.assign(new Error(quoted), { name: 'PrismaClientValidationError' }))).toBe(false);
    let calls = 0;
    const refuse = () => {
      calls++;
      return Promise.reject(new InputError('conflict', 'no'));
    };
    await expect(withQuickTries(refuse)).rejects.toMatchObject({ code: 'conflict' });
    expect(calls).toBe(1);
    const flaky = guarded({
      ask: () =>
        ++calls < 4 ? Promise.reject(new Error('Connection terminated unexpectedly')) : Promise.resolve(calls),
    });
    expect(await flaky.ask()).toBe(4);
  });
});

describe('notifications', () => {
  it('wake those who wait for a job, and nobody else', async () => {
    const database = await postgres.open();
    const [a, b] = [await createJob(database), await createJob(database)];
    const woken: string[] = [];
    database.notifications.subscribe(a.id, () => woken.push('a'));
    database.notifications.subscribe(b.id, () => woken.push('b'));
    database.notifications.subscribe('tasks', () => woken.push('tasks'));
    await until('the listener is connected', () => woken.includes('b'));
    // What was announced before has come when this has.
    database.notifications.subscribe('last', () => woken.push('last'));
    await runSql(database.url, "select pg_notify('sparank', 'last')");
    await until('all that was on its way', () => woken.includes('last'));
    woken.length = 0;
    await finishNext(database, 0);
    await until('the job and the relay are woken', () => woken.includes('a') && woken.includes('tasks'));
    expect(woken).not.toContain('b');
  });

  it('come again after the connection was lost, and everybody is woken once for what was missed', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    let calls = 0;
    const unsubscribe = database.notifications.subscribe(id, () => calls++);
    await until('the listener is connected', () => calls === 1);
    await postgres.cutConnections(database.url);
    await until('it is woken after the reconnect', () => calls === 2);
    await database.jobs.requestCancel(DEFAULT_TEAM, id);
    await until('it hears changes', () => calls > 2);
    let others = 0;
    database.notifications.subscribe(id, () => others++);
    unsubscribe();
    const before = calls;
    await database.jobs.retry(DEFAULT_TEAM, id);
    await until('somebody else hears the next change', () => others > 0);
    expect(calls).toBe(before);
  });
});

it('close leaves no connection open', async () => {
  const database = await postgres.open();
  const { id } = await createJob(database);
  database.notifications.subscribe(id, () => undefined);
  await until('they are there', async () => (await postgres.connections(database.url)) >= 2);
  await database.close();
  await until('all are gone', async () => (await postgres.connections(database.url)) === 0, 5);
});

describe('a connection whose other end has gone without a word', () => {
  const SILENCE_MS = 200;

  async function connected() {
    const direct = await postgres.createDatabase({ migrated: false });
    const url = new URL(direct);
    const proxy = await Proxy.open(Number(url.port));
    url.port = String(proxy.port);
    const client = new PostgresClient(url.href, SILENCE_MS);
    await client.connect();
    return { proxy, client, direct };
  }

  it('is lost, as a transient error', async () => {
    const { proxy, client } = await connected();
    await client.query('select 1');
    expect(proxy.silence()).toBe(1);
    const error: unknown = await client.query('select 1').catch((reason: unknown) => reason);
    expect(isTransientError(error)).toBe(true);
    await proxy.close();
  });

  it('is told from one that has nothing to say', async () => {
    const { proxy, client } = await connected();
    await client.query('select 1');
    // Real time: what is tried is that silence alone is no loss.
    await sleep(3 * SILENCE_MS);
    expect((await client.query('select 2 as two')).rows).toEqual([{ two: 2 }]);
    await client.end();
    await proxy.close();
  });

  it('does not keep the locks of its transaction', async () => {
    const { proxy, client, direct } = await connected();
    await client.query('begin');
    await client.query('select pg_advisory_xact_lock(1)');
    proxy.silence();
    const other = new PostgresClient(direct);
    await other.connect();
    await other.query("set lock_timeout = '10s'");
    await other.query('select pg_advisory_lock(1)');
    await other.end();
    await proxy.close();
  });
});
