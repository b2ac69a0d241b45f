import type { BenchPostgres } from '../load/postgres.js';
import { note } from '../support/table.js';

/** Rows of one statement. */
const CHUNK = 20_000;
/** Steps that a finished job has left behind: the first and the last ones. */
const FINISHED_STEPS = ['inspect', 'plan', 'evaluate'];

type Query = BenchPostgres['query'];

export interface Seed {
  teams: number;
  /** Jobs in the table, finished and queued together. */
  jobs: number;
  /** Of them, those that wait; at least. */
  queued: number;
}

/**
 * Brings the tables to the size: teams, finished jobs with their tasks, events and usage, and jobs that wait. All are
 * copies of the job `like`, spread over the teams in turn. What is there already counts.
 */
export async function seed(query: Query, like: string, { teams, jobs, queued }: Seed): Promise<void> {
  // The triggers count, notify and order: what they would write is written here.
  await query('set session_replication_role = replica');
  await query(
    `insert into teams (id, name) select 'team_scale_' || i, 'scale ' || i from generate_series(0, $1::int - 1) i on conflict do nothing`,
    [teams],
  );
  const [has] = await query<{ jobs: number; queued: number }>(
    `select count(*)::int as jobs, count(*) filter (where status = 'queued')::int as queued from jobs`,
  );
  const more = Math.max(0, queued - (has?.queued ?? 0));
  const finished = Math.max(0, jobs - (has?.jobs ?? 0) - more);
  if (finished + more > CHUNK)
    note(`${finished.toLocaleString('en')} finished and ${more.toLocaleString('en')} queued jobs`);
  for (let done = 0; done < finished; done += CHUNK)
    await insert(query, { like, teams, count: Math.min(CHUNK, finished - done), status: 'succeeded' });
  for (let done = 0; done < more; done += CHUNK)
    await insert(query, { like, teams, count: Math.min(CHUNK, more - done), status: 'queued' });
  await query('set session_replication_role = origin');
  if (finished + more > 0) await query('vacuum analyze');
}

/** As src/database/connection/ids.ts makes them: in the order of time, digits of 16 for those of 36. */
const ID = `lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 11, '0') || substr(md5(random()::text), 1, 12)`;

interface Batch {
  like: string;
  teams: number;
  count: number;
  status: 'succeeded' | 'queued';
}

async function insert(query: Query, { like, teams, count, status }: Batch): Promise<void> {
  const ended = status === 'succeeded';
  await query(
    `with job as (
       insert into jobs (id, team_id, status, spec, inputs, labels, priority, fraction, finished_at)
       select 'job_' || ${ID}, 'team_scale_' || i % $2::int, $4::job_status, spec, inputs, labels, 1,
         $5::float8, case when $5 = 1 then now() end
       from jobs cross join generate_series(1, $3::int) i where id = $1 returning id, team_id, labels, created_at
     ), used as (
       insert into usage (team_id, day, job_id, labels, jobs) select team_id, current_date, id, labels, 1 from job
     ), event as (
       insert into events (team_id, job_id, type) select team_id, id, 'job.created' from job
     )
     insert into tasks (id, team_id, job_id, kind, state, rank, result, files, finished_at)
     select 'tsk_' || ${ID}, team_id, id, kind, case when $5 = 1 then 'succeeded' else 'waiting' end::task_state,
       extract(epoch from created_at), case when $5 = 1 then '{}'::jsonb end, case when $5 = 1 then '[]'::jsonb end,
       case when $5 = 1 then now() end
     from job cross join unnest($6::text[]) as kind`,
    [like, teams, count, status, ended ? 1 : 0, ended ? FINISHED_STEPS : ['inspect']],
  );
}

/** As before a run: nothing released or running, no worker known. */
export async function settle(query: Query): Promise<void> {
  await query(`update tasks set state = 'waiting', attempt = attempt + 1 where state in ('released', 'running')`);
  await query('delete from workers');
}
