import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readConfig } from '../../src/config/index.js';
import type { DatabaseContext, Run } from '../../src/database/connection/context.js';
import { preparedStatements } from '../../src/database/connection/prepared.js';
import { PrismaClient } from '../../src/database/generated/client.js';
import { claim } from '../../src/database/tasks/claim.js';
import { heartbeat } from '../../src/database/tasks/heartbeat.js';
import { succeed } from '../../src/database/tasks/succeed.js';
import { createJob, stepResult } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { runSql } from '../support/teams.js';

const JOBS = 12;
const OTHERS = 3000;

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

/** Entries of indexes, and rows by scans of whole tables, that this transaction has read. */
async function read(run: Run): Promise<number> {
  const [sum] = await run<{ rows: number }>(
    'read',
    `select sum(pg_stat_get_xact_tuples_returned(oid))::float8 as rows from pg_class
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'i')`,
  );
  return sum?.rows ?? NaN;
}

test('a task reads its own rows, however many other tasks are open and whatever the planner knows of them', async () => {
  const database = await postgres.open({ MAX_RUNNING_TASKS: 1000 });
  await database.workers.upsert({ id: 'wrk_a', engine: 'onnxruntime', device: 'cpu', threads: 1, slots: JOBS });
  for (let i = 0; i < JOBS; i++) await createJob(database);
  const released = (await database.pool.release()) ?? [];
  expect(released).toHaveLength(JOBS);
  // The planner saw hardly any open tasks.
  await runSql(database.url, 'analyze');
  for (const state of ['running', 'released', 'waiting'])
    await runSql(
      database.url,
      `insert into tasks (id, team_id, job_id, kind, layer, state, rank)
       select 'tsk_' || $1 || i, team_id, job_id, 'layer', case $1 when 'running' then 10000 when 'released' then 20000 else 30000 end + i,
         $1::task_state, 1
       from (select * from tasks order by created_at desc limit 1) one cross join generate_series(1, ${String(OTHERS)}) i`,
      [state],
    );

  const prisma = new PrismaClient({ adapter: new PrismaPg(database.url) });
  const pool = new pg.Pool({ connectionString: database.url, max: 1 });
  const statements = preparedStatements(pool);
  const contextOf = (run: Run): DatabaseContext => ({
    prisma,
    settings: readConfig({}),
    ...statements,
    prepared: run,
    announce: () => undefined,
    transaction: (work) => prisma.$transaction(work),
  });
  const most = { claim: 0, heartbeat: 0, succeed: 0 };
  try {
    // Statements get their final plan at the sixth time. The last job is the one whose own tasks are so many.
    for (const { taskId, attempt } of released.slice(0, -1))
      await statements.inTransaction(async (run) => {
        const context = contextOf(run);
        let before = await read(run);
        const cost = async (what: keyof typeof most) => {
          const now = await read(run);
          most[what] = Math.max(most[what], now - before);
          before = await read(run);
        };
        before = await read(run);
        const assignment = await claim(context)(taskId, attempt, 'wrk_a');
        if (assignment === null) throw new Error('not claimed');
        await cost('claim');
        expect(await heartbeat(context)(taskId, attempt, { fraction: 0 })).toBe('ok');
        await cost('heartbeat');
        const outcome = { result: stepResult(assignment, 2), files: [] };
        const claimed = { assignment, workerId: 'wrk_a', seconds: 1 };
        expect(await succeed(context)(taskId, attempt, { ...outcome, claimed })).toBe(true);
        await cost('succeed');
      });
    // What reading the numbers itself reads is in them.
    for (const rows of Object.values(most)) expect(rows).toBeLessThan(OTHERS / 10);
  } finally {
    await pool.end();
    await prisma.$disconnect();
  }
});
