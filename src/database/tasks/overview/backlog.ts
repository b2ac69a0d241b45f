import type { DatabaseContext } from '../../connection/context.js';
import type { Backlog } from '../../records.js';
import type { PoolRepository } from '../../repositories.js';
import { depthByClass, type TaskGroup } from '../../../scheduling/class-depth.js';
import { liveClasses } from '../../workers/worker-repository.js';

/** What waits, for how long, and how the last hour's jobs ended: for the operators' metrics. */
export function backlog({ prisma, prepared }: DatabaseContext): PoolRepository['backlog'] {
  return async () => {
    const [teams, groups, classes, ended, webhooks] = await Promise.all([
      prisma.$queryRaw<Backlog['teams']>`
        select team.id as "teamId", coalesce(j.queued, 0)::int as "jobsQueued", coalesce(j.running, 0)::int as "jobsRunning",
          coalesce(t.waiting, 0)::int as "tasksWaiting", coalesce(t.released, 0)::int as "tasksReleased",
          coalesce(t.running, 0)::int as "tasksRunning", coalesce(t.oldest, 0)::float8 as "oldestSeconds"
        from teams team
        left join (
          select team_id, count(*) filter (where status = 'queued') as queued, count(*) filter (where status <> 'queued') as running
          from jobs where status in ('queued', 'running', 'canceling') group by team_id
        ) j on j.team_id = team.id
        left join (
          select team_id, count(*) filter (where state = 'waiting') as waiting, count(*) filter (where state = 'released') as released,
            count(*) filter (where state = 'running') as running,
            extract(epoch from clock_timestamp() - min(greatest(created_at, not_before))
              filter (where state <> 'running' and not_before <= clock_timestamp())) as oldest
          from tasks where state in ('waiting', 'released', 'running') group by team_id
        ) t on t.team_id = team.id
        where j.team_id is not null or t.team_id is not null
        order by coalesce(t.waiting, 0) + coalesce(t.released, 0) desc, team.id`,
      prisma.$queryRaw<TaskGroup[]>`
        select state::text, case when state = 'waiting' then '' else lane end as "workerClass",
          case when state = 'waiting' then needs end as needs, count(*)::int as count
        from tasks where state in ('waiting', 'released', 'running') group by 1, 2, 3`,
      liveClasses(prepared),
      prisma.$queryRaw<Backlog['endedLastHour']>`
        select status, coalesce(error->>'origin', 'none') as origin, count(*)::int as count from jobs
        where finished_at > statement_timestamp() - interval '1 hour' group by 1, 2`,
      prisma.$queryRaw<Backlog['webhooks'][]>`
        select count(*) filter (where state = 'pending')::int as pending,
          coalesce(extract(epoch from clock_timestamp() - min(next_at)
            filter (where state = 'pending' and next_at <= clock_timestamp())), 0)::float8 as "overdueSeconds"
        from webhook_deliveries where state = 'pending'`,
    ]);
    return {
      teams,
      classes: depthByClass(groups, classes),
      endedLastHour: ended,
      webhooks: webhooks[0] ?? { pending: 0, overdueSeconds: 0 },
    };
  };
}
