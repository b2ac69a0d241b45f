import type { DatabaseContext } from '../../connection/context.js';
import type { PoolMoment } from '../../records.js';
import type { PoolRepository } from '../../repositories.js';

interface Row {
  minute: number;
  running: number;
  waiting: number;
}

/**
 * What ran and waited at the end of every minute of the last hour, told from the times of the tasks: nothing is written
 * for it. Of a task that ran several times the last run counts.
 */
export function history({ prepared }: DatabaseContext): PoolRepository['history'] {
  return async (minutes) => {
    // Steps up and down, in the minutes in which they were; what was before the window is in its first one.
    const rows = await prepared<Row & { now: Date }>(
      'pool history',
      `with window_of as (select clock_timestamp() as now, clock_timestamp() - $1::int * interval '1 minute' as begin),
       recent as (
         select created_at, started_at, finished_at from tasks, window_of
         where state in ('waiting', 'released', 'running') or finished_at > begin)
       select window_of.now, least($1::int - 1, greatest(0, floor(extract(epoch from step.at - begin) / 60)))::int as minute,
         sum(step.running)::int as running, sum(step.waiting)::int as waiting
       from recent cross join window_of cross join lateral (values
         (created_at, 0, 1),
         (started_at, 1, -1),
         (finished_at, case when started_at is null then 0 else -1 end, case when started_at is null then -1 else 0 end)
       ) as step(at, running, waiting)
       where step.at is not null group by 1, 2
       union all select now, -1, 0, 0 from window_of
       order by minute`,
      [minutes],
    );
    const end = rows[0]?.now.getTime() ?? Date.now();
    const steps = new Map(rows.map((row) => [row.minute, row]));
    let [running, waiting] = [0, 0];
    return Array.from({ length: minutes }, (_, i): PoolMoment => {
      running += steps.get(i)?.running ?? 0;
      waiting += steps.get(i)?.waiting ?? 0;
      return { at: new Date(end - (minutes - 1 - i) * 60_000), running, waiting };
    });
  };
}
