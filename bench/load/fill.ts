import type { BenchPostgres } from './postgres.js';

/**
 * `count` jobs of low priority like the job `like`, with everything that submitting one writes, straight into the
 * tables. Triggers and constraints see them as they see those of `POST /jobs`.
 */
export async function fillQueue(postgres: BenchPostgres, like: string, count: number): Promise<void> {
  await postgres.query(
    `with job as (
       insert into jobs (id, team_id, spec, inputs, labels, priority, needs, created_at)
       select 'job_' || substr(md5(i::text), 1, 20), team_id, spec, inputs, labels, 0, needs, now() - ($2 - i) * interval '1 ms'
       from jobs cross join generate_series(1, $2::int) i where id = $1 order by i
       returning id, team_id, labels
     ), used as (
       insert into usage (team_id, day, job_id, labels, jobs) select team_id, current_date, id, labels, 1 from job
     ), task as (
       insert into tasks (id, team_id, job_id, kind) select 'tsk_' || substr(md5(id), 1, 20), team_id, id, 'inspect' from job
     )
     insert into events (team_id, job_id, type, data) select team_id, id, 'job.created', '{"priority": "low"}' from job`,
    [like, count],
  );
  await postgres.query('vacuum analyze');
}
