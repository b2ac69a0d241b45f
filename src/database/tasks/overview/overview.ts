import type { DatabaseContext } from '../../connection/context.js';
import type { PoolOverview } from '../../records.js';
import type { PoolRepository } from '../../repositories.js';
import { LIVE, liveClasses, listWorkers } from '../../workers/worker-repository.js';

export function overview({ prisma, prepared }: DatabaseContext): PoolRepository['overview'] {
  return async () => {
    const [workers, classes, jobs, teams, [left]] = await Promise.all([
      listWorkers(prisma),
      liveClasses(prepared),
      prisma.job.groupBy({
        by: ['status'],
        where: { status: { in: ['queued', 'running', 'canceling'] } },
        _count: true,
      }),
      prisma.$queryRaw<({ released: number } & PoolOverview['teams'][number])[]>`
        select team.id as "teamId", team.weight,
          (select count(*)::int from jobs where team_id = team.id and status = 'queued') as "queuedJobs",
          count(t.id) filter (where t.state = 'running')::int as "runningTasks",
          count(t.id) filter (where t.state = 'waiting')::int as "waitingTasks",
          count(t.id) filter (where t.state = 'released')::int as released
        from teams team left join tasks t on t.team_id = team.id and t.state in ('waiting', 'released', 'running')
        group by team.id order by team.id`,
      prisma.$queryRaw<{ unmatched: number }[]>`
        select count(*)::int as unmatched from tasks t where t.state = 'waiting' and not exists (
          select from workers w where ${LIVE}
            and sparank_can_run(t.needs, w.engine, w.device_memory_bytes, w.class))`,
    ]);
    const jobCount = (...statuses: string[]) =>
      jobs.filter((row) => statuses.includes(row.status)).reduce((sum, row) => sum + row._count, 0);
    const total = (value: (team: (typeof teams)[number]) => number) =>
      teams.reduce((sum, team) => sum + value(team), 0);
    return {
      workers,
      classes,
      jobs: { queued: jobCount('queued'), running: jobCount('running', 'canceling') },
      tasks: {
        waiting: total((team) => team.waitingTasks),
        released: total((team) => team.released),
        running: total((team) => team.runningTasks),
        unmatched: left?.unmatched ?? 0,
      },
      teams: teams.map(({ released: _, ...team }) => team),
    };
  };
}
