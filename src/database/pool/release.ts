import { chooseTasks, releaseRoom, type TeamUse, type WaitingTask } from '../../jobs/fair-share.js';
import type { DatabaseContext, Tx } from '../context.js';
import type { PoolRepository, ReleasableTask } from '../repositories.js';
import { SEEN_SECONDS } from '../worker-repository.js';

/** Any number that no one else uses: one relay at a time chooses. */
const RELAY_LOCK = 712_001;
const RECENT_MINUTES = 10;

export function release({ transaction }: DatabaseContext): PoolRepository['release'] {
  return () =>
    transaction(async (tx) => {
      const [lock] = await tx.$queryRaw<{ free: boolean }[]>`select pg_try_advisory_xact_lock(${RELAY_LOCK}) as free`;
      if (lock?.free !== true) return null;
      const room = releaseRoom(...(await placesAndTasks(tx)));
      if (room === 0) return [];
      const waiting = await waitingTasks(tx, room);
      if (waiting.length === 0) return [];
      return markReleased(tx, chooseTasks(waiting, await teamUse(tx), room));
    });
}

async function placesAndTasks(tx: Tx): Promise<[number, number]> {
  const [counts] = await tx.$queryRaw<{ slots: number; inFlight: number }[]>`
    select (select coalesce(sum(slots), 0)::int from workers
            where last_seen_at > clock_timestamp() - make_interval(secs => ${SEEN_SECONDS})) as slots,
           (select count(*)::int from tasks where state in ('released', 'running')) as "inFlight"`;
  return [counts?.slots ?? 0, counts?.inFlight ?? 0];
}

/** The first `room` tasks of every team: more cannot be chosen. */
function waitingTasks(tx: Tx, room: number): Promise<WaitingTask[]> {
  return tx.$queryRaw<WaitingTask[]>`
    select next.* from (select id from teams) as team
    cross join lateral (
      select t.id as "taskId", t.attempt, t.team_id as "teamId", j.priority::int, j.seq::int as "jobSeq", t.layer
      from tasks t join jobs j on j.id = t.job_id
      where t.team_id = team.id and t.state = 'waiting' and t.not_before <= clock_timestamp()
        and j.status in ('queued', 'running')
      order by j.priority desc, j.seq, t.layer, t.point limit ${room}
    ) as next`;
}

async function teamUse(tx: Tx): Promise<Map<string, TeamUse>> {
  const rows = await tx.$queryRaw<({ id: string } & TeamUse)[]>`
    select team.id, team.weight,
      (select count(*)::int from tasks where team_id = team.id and state in ('released', 'running')) as "inUse",
      (select coalesce(sum(device_seconds), 0)::float8 from tasks
       where team_id = team.id and finished_at > clock_timestamp() - make_interval(mins => ${RECENT_MINUTES})) as "recentSeconds"
    from teams team`;
  return new Map(rows.map(({ id, ...use }) => [id, use]));
}

/**
 * Marked first, added to the queue after the commit: a worker never sees a task that is not released, and a relay that dies in
 * between leaves a released task that the reconciler misses in the queue.
 */
async function markReleased(tx: Tx, tasks: WaitingTask[]): Promise<ReleasableTask[]> {
  const ids = tasks.map((task) => task.taskId);
  const marked = await tx.$queryRaw<{ id: string; attempt: number }[]>`
    update tasks set state = 'released', released_at = clock_timestamp()
    where id in (select id from tasks where id = any(${ids}) and state = 'waiting' for no key update skip locked)
    returning id, attempt`;
  return marked
    .map(({ id, attempt }) => ({ taskId: id, attempt }))
    .sort((a, b) => ids.indexOf(a.taskId) - ids.indexOf(b.taskId));
}

export function unrelease({ prisma }: DatabaseContext): PoolRepository['unrelease'] {
  return async (taskId, attempt) => {
    // The queue may have taken it although its answer was lost: the same attempt again makes adding it a no-op.
    await prisma.$executeRaw`
      update tasks set state = 'waiting', not_before = clock_timestamp() + interval '1 second'
      where id = ${taskId} and attempt = ${attempt} and state = 'released'`;
  };
}
