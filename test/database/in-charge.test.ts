import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../src/database/repositories.js';
import { openDatabase } from '../../src/database/index.js';
import { readConfig } from '../../src/config/index.js';
import { whileInCharge } from '../../src/maintenance/in-charge.js';
import { quietLog } from '../support/log.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { runSql } from '../support/teams.js';
import { until } from '../support/until.js';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

/** A process that could run the loops, and whether it does. */
function contender(database: Database) {
  const state = { runs: false, started: 0, able: true };
  const charge = whileInCharge({
    part: 'queue',
    charge: database.charge,
    logger: quietLog,
    start: () => {
      state.runs = true;
      state.started++;
      return [
        {
          isAble: () => state.able,
          close: async () => {
            state.runs = false;
            return Promise.resolve();
          },
        },
      ];
    },
  });
  return { state, close: () => charge.close() };
}

describe('of many processes', () => {
  it('one runs the loops, and another one as soon as it stops', async () => {
    const database = await postgres.open();
    const all = [contender(database), contender(database), contender(database)];
    const running = () => all.filter(({ state }) => state.runs);
    await until('one in charge', () => running().length === 1);
    for (let left = 3; left > 0; left--) {
      await until('one in charge', () => running().length === 1);
      expect(running()).toHaveLength(1);
      await running()[0]?.close();
    }
    expect(all.map(({ state }) => state.started)).toEqual([1, 1, 1]);
  });

  it('one that was silent stops when another has taken over, and takes over again when that one is silent', async () => {
    const database = await postgres.open();
    const first = contender(database);
    await until('the first in charge', () => first.state.runs);
    await runSql(
      database.url,
      "update in_charge set holder = 'another', until = clock_timestamp() + interval '1 hour'",
    );
    await until('the first stopped', () => !first.state.runs);
    await runSql(database.url, "update in_charge set until = clock_timestamp() - interval '1 second'");
    await until('the first in charge', () => first.state.runs);
    expect(first.state.started).toBe(2);
    await first.close();
    expect((await query(database.url, 'select from in_charge')).rows).toEqual([]);
  });

  it('one that cannot do the work leaves it to another, and does not take it back', async () => {
    const database = await postgres.open();
    const first = contender(database);
    await until('the first in charge', () => first.state.runs);
    const second = contender(database);
    first.state.able = false;
    await until('the second in charge', () => second.state.runs && !first.state.runs);
    first.state.able = true;
    expect([first.state.started, second.state.started]).toEqual([1, 1]);
    await Promise.all([first.close(), second.close()]);
  });

  it('only those listen that want to know more than what concerns a worker', async () => {
    const { url } = await postgres.open();
    const settings = readConfig({});
    const database = await openDatabase({ url, settings, logger: quietLog, quiet: true });
    const seen: string[] = [];
    const notify = async (topic: string) => query(url, `select pg_notify('sparank', '${topic}')`);
    const stop = database.notifications.subscribe('cancel:job_x', () => seen.push('cancel'));
    await until('the connection', async () => (await listeners(url)).length > 0);
    await until('the first look', () => seen.length === 1);
    await notify('cancel:job_x');
    const more = database.notifications.subscribe('tasks', () => seen.push('tasks'));
    await until('the first look at tasks', () => seen.includes('tasks'));
    const before = seen.length;
    await notify('cancel:job_x');
    await until('the notification', () => seen.length > before);
    more();
    stop();
    await database.close();
  });
});

async function query(url: string, text: string) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}

const listeners = async (url: string) =>
  (
    await query(
      url,
      `select from pg_stat_activity where application_name like 'sparank listen%' and datname = current_database()`,
    )
  ).rows;
