import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { claimNext, createJob } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { runSql } from '../support/teams.js';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

it('what a job was told is held against its start; a start that is still to come, or was not the one meant, is not', async () => {
  const database = await postgres.open();
  let clock = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => (clock += 10_000));
  const tell = async (expected: number, took: number | null) => {
    const { id } = await createJob(database);
    await database.predictions.note(id, expected);
    await runSql(
      database.url,
      `with at as (update start_predictions set made_at = clock_timestamp() - interval '50 minutes' where job_id = $1 returning made_at)
       update jobs set queued_at = made_at - interval '1 second', started_at = made_at + make_interval(secs => $2) from at where id = $1`,
      [id, took],
    );
    return id;
  };
  await tell(100, 105);
  await tell(100, 125);
  await tell(100, 90);
  await tell(100, 300);
  await tell(2, 0);
  await tell(100, null);
  const retried = await tell(100, 100);
  await runSql(database.url, 'update jobs set queued_at = clock_timestamp() where id = $1', [retried]);
  vi.restoreAllMocks();
  const errors = await database.predictions.errors();
  expect(errors.sort((a, b) => (a.error + a.direction < b.error + b.direction ? -1 : 1))).toEqual([
    { error: '0.10', direction: 'later', count: 1 },
    { error: '0.25', direction: 'earlier', count: 2 },
    { error: '0.25', direction: 'later', count: 1 },
    { error: '1.00', direction: 'later', count: 1 },
  ]);

  await runSql(database.url, "update start_predictions set made_at = made_at - interval '1 day'");
  expect(await database.pool.expireRows(100)).toMatchObject({ start_prediction: 7 });
  expect(await database.predictions.errors()).toEqual([]);
});

it('is noted of one job in some seconds, and goes with its job', async () => {
  const database = await postgres.open();
  const first = await createJob(database);
  const second = await createJob(database);
  for (const { id } of [first, second]) await database.predictions.note(id, 0);
  await claimNext(database);
  const judged = async () => (await database.predictions.errors()).reduce((sum, { count }) => sum + count, 0);
  expect(await judged()).toBe(1);
  await runSql(database.url, 'delete from jobs');
  expect(await judged()).toBe(0);
});
