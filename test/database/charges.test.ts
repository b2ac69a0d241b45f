import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';

let postgres: TestPostgres;
let client: pg.Client | undefined;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

interface Account {
  task: number;
  job: number;
  virtual: number;
}

/** A database with charges of the default team, and its account after the relay's next turn. */
async function open() {
  const database = await postgres.open();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const query = async <T extends object>(text: string, values: unknown[] = []) =>
    (await client?.query<T>(text, values))?.rows ?? [];
  return {
    database,
    query,
    charge: (column: 'task_seconds' | 'job_seconds', seconds: number[]) =>
      query(`insert into charges (team_id, ${column}) select $1, unnest($2::float8[])`, [DEFAULT_TEAM, seconds]),
    async settled(): Promise<Account> {
      await database.pool.release();
      const [account] = await query<Account>(
        `select task_seconds as task, job_seconds as job, coalesce((select virtual_seconds from team_lanes where team_id = id), 0) as virtual
         from teams where id = $1`,
        [DEFAULT_TEAM],
      );
      expect(await query('select from charges')).toEqual([]);
      if (account === undefined) throw new Error('the team is gone');
      return account;
    },
    close: () => client?.end(),
  };
}

/** One after the other, as if each had been added by itself. */
const averaged = (seconds: number[], from = 0) =>
  seconds.reduce((mean, one) => (mean === 0 ? one : mean + 0.2 * (one - mean)), from);

describe('what tasks and jobs have cost', () => {
  it('is added to the account and the averages at the next turn, in the order of their ends', async () => {
    const { charge, settled, close } = await open();
    const [first, second] = [
      [3, 1, 10, 2],
      [7, 0.5],
    ];
    await charge('task_seconds', first);
    await charge('job_seconds', [40, 20]);
    const one = await settled();
    expect(one.task).toBeCloseTo(averaged(first), 9);
    expect(one.job).toBeCloseTo(averaged([40, 20]), 9);
    expect(one.virtual).toBeCloseTo(16, 9);
    await charge('task_seconds', second);
    const two = await settled();
    expect(two.task).toBeCloseTo(averaged(second, averaged(first)), 9);
    expect(two.job).toBeCloseTo(one.job, 9);
    expect(two.virtual).toBeCloseTo(23.5, 9);
    await close();
  });

  it('is added up also when the relay was away for thousands of tasks', async () => {
    const { charge, settled, close } = await open();
    const many = Array.from({ length: 5000 }, (_, i) => 1 + (i % 7));
    await charge('task_seconds', many);
    const account = await settled();
    expect(account.task).toBeCloseTo(averaged(many), 6);
    expect(account.virtual).toBeCloseTo(
      many.reduce((sum, one) => sum + one, 0),
      6,
    );
    await close();
  });

  it('of a team that is gone is dropped', async () => {
    const { query, settled, close } = await open();
    await query("insert into charges (team_id, task_seconds) values ('team_gone', 5)");
    expect((await settled()).virtual).toBe(0);
    await close();
  });
});
