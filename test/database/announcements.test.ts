import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createJob, finishNext } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { until } from '../support/until.js';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

describe('the end of a task', () => {
  it('wakes the relays, and those who wait for the job, of other processes too', async () => {
    const database = await postgres.open();
    const other = await postgres.openAgain(database);
    const { id } = await createJob(database);
    const seen = { tasks: 0, job: 0 };
    other.notifications.subscribe('tasks', () => void seen.tasks++);
    other.notifications.subscribe(id, () => void seen.job++);
    await until('the first look', () => seen.tasks > 0 && seen.job > 0);
    for (let step = 0; step < 5; step++) {
      const before = { ...seen };
      await finishNext(database, 1);
      await until(`step ${step} announced`, () => seen.tasks > before.tasks && seen.job > before.job);
    }
    expect((await other.jobs.get('team_default', id))?.status).toBe('succeeded');
  });
});
