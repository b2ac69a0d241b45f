import { PrismaPg } from '@prisma/adapter-pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readConfig } from '../../src/config/index.js';
import { type Prisma, PrismaClient } from '../../src/database/generated/client.js';
import { expireRows } from '../../src/database/tasks/files/expire.js';
import { createJob, finishNext } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';

const JOBS = 5000;
const LAYERS = 2;

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

/** As many rows as a long time leaves behind, none of them old. */
async function fill(tx: Prisma.TransactionClient, like: string): Promise<void> {
  await tx.$executeRaw`set local session_replication_role = replica`;
  await tx.$executeRaw`
    insert into jobs (id, team_id, status, spec, inputs, finished_at)
    select 'old_' || i, team_id, 'succeeded', spec, inputs, now() from jobs cross join generate_series(1, ${JOBS}::int) i where id = ${like}`;
  await tx.$executeRaw`
    insert into tasks (id, team_id, job_id, kind, state) select 'tsk_' || id, team_id, id, 'inspect', 'succeeded' from jobs where id <> ${like}`;
  await tx.$executeRaw`
    insert into webhook_deliveries (id, team_id, job_id, url, type, payload, state, finished_at)
    select 'msg_' || id, team_id, id, 'https://example.com', 'job.succeeded', '{}', 'delivered', now() from jobs`;
  await tx.$executeRaw`
    insert into idempotency_keys (team_id, key, body_hash, token, in_flight_until) select team_id, id, '', id, now() from jobs`;
  await tx.$executeRaw`insert into start_predictions (job_id, expected_seconds) select id, 1 from jobs on conflict do nothing`;
  await tx.$executeRaw`insert into audit_log (action, subject) select 'job.canceled', id from jobs`;
  await tx.$executeRaw`set local session_replication_role = origin`;
}

/**
 * Entries of indexes and rows of tables that scans of this connection have read and not yet added to the statistics of
 * all.
 */
async function read(tx: Prisma.TransactionClient): Promise<number> {
  const [sum] = await tx.$queryRaw<{ rows: number }[]>`
    select sum(pg_stat_get_xact_tuples_returned(oid))::float8 as rows from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'i')`;
  return sum?.rows ?? NaN;
}

test('looking for old rows reads those that are old, and takes no more of them at once than it is told', async () => {
  const database = await postgres.open();
  const { id } = await createJob(database);
  for (let step = 0; step < LAYERS + 4; step++) await finishNext(database, LAYERS);
  const prisma = new PrismaClient({ adapter: new PrismaPg(database.url) });
  const settings = { ...readConfig({}) };
  try {
    await prisma.$transaction((tx) => fill(tx, id), { timeout: 60_000 });
    await prisma.$executeRaw`analyze`;
    const idle = await prisma.$transaction(async (tx) => {
      const before = await read(tx);
      const removed = await expireRows({ prisma: tx, settings })(100);
      return { removed, rows: (await read(tx)) - before };
    });
    expect(new Set(Object.values(idle.removed))).toEqual(new Set([0]));
    expect(idle.rows).toBeLessThan(JOBS / 10);

    await prisma.$executeRaw`update jobs set finished_at = now() - interval '366 days' where id like 'old_1%'`;
    const old = await prisma.job.count({ where: { id: { startsWith: 'old_1' } } });
    const removed: number[] = [];
    do removed.push((await expireRows({ prisma, settings })(300))['job'] ?? 0);
    while (removed.at(-1) === 300);
    expect(Math.max(...removed)).toBe(300);
    expect(removed.reduce((sum, n) => sum + n)).toBe(old);
    expect(await prisma.task.count({ where: { jobId: { startsWith: 'old_1' } } })).toBe(0);
    expect(await prisma.job.count()).toBe(JOBS + 1 - old);
  } finally {
    await prisma.$disconnect();
  }
});
