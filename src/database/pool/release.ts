import {
  chooseSwaps,
  chooseTasks,
  releaseRoom,
  settleAccounts,
  type TeamAccount,
  type WaitingTask,
} from '../../jobs/fair-share.js';
import type { DatabaseContext, Tx } from '../context.js';
import type { PoolRepository, ReleasableTask } from '../repositories.js';
import { SEEN_SECONDS } from '../worker-repository.js';

/** Any number that no one else uses: one relay at a time chooses. */
const RELAY_LOCK = 712_001;

export function release({ transaction, settings }: DatabaseContext): PoolRepository['release'] {
  return () =>
    transaction(async (tx) => {
      const [lock] = await tx.$queryRaw<{ free: boolean }[]>`select pg_try_advisory_xact_lock(${RELAY_LOCK}) as free`;
      if (lock?.free !== true) return null;
      const { accounts, highest } = await readAccounts(tx, settings.MAX_RUNNING_TASKS);
      if (accounts.size === 0) return [];
      const { slots, inFlight } = await placesAndTasks(tx);
      const waiting = await waitingTasks(tx, Math.max(2, 2 * slots));
      const changed = settleAccounts(accounts, new Set(waiting.map((task) => task.teamId)), highest);
      await writeAccounts(tx, changed);
      for (const [id, account] of changed) accounts.set(id, account);
      if (waiting.length === 0) return [];

      const chosen = chooseTasks(waiting, accounts, releaseRoom(slots, inFlight));
      for (const { teamId } of chosen) {
        const account = accounts.get(teamId);
        if (account !== undefined) account.inUse++;
      }
      const left = waiting.filter((task) => !chosen.includes(task));
      const swapped = left.length === 0 ? [] : await swap(tx, left, accounts);
      return markReleased(tx, [...chosen, ...swapped]);
    });
}

/** Of every team that has tasks which are not finished, or that is noted as waiting. */
async function readAccounts(tx: Tx, limit: number): Promise<{ accounts: Map<string, TeamAccount>; highest: number }> {
  const rows = await tx.$queryRaw<({ id: string; highest: number } & TeamAccount)[]>`
    with busy as (
      select t.team_id, count(*)::int as in_use, count(*) filter (where t.state = 'released')::int as released,
        coalesce(sum(greatest(0, extract(epoch from clock_timestamp() - t.started_at) - team.task_seconds))
          filter (where t.state = 'running'), 0)::float8 as overrun
      from tasks t join teams team on team.id = t.team_id where t.state in ('released', 'running') group by 1
    )
    select team.id, team.weight, team.virtual_seconds as "virtualSeconds", team.task_seconds as "taskSeconds", team.backlogged,
      coalesce(team.max_running_tasks, ${limit})::int as limit, coalesce(busy.in_use, 0)::int as "inUse",
      coalesce(busy.released, 0)::int as released, coalesce(busy.overrun, 0)::float8 as overrun,
      (select max(virtual_seconds) from teams)::float8 as highest
    from teams team left join busy on busy.team_id = team.id
    where team.backlogged or busy.team_id is not null
      or exists (select from tasks where team_id = team.id and state = 'waiting')`;
  const accounts = new Map(rows.map(({ id, highest: _, ...account }) => [id, account]));
  return { accounts, highest: rows[0]?.highest ?? 0 };
}

async function placesAndTasks(tx: Tx): Promise<{ slots: number; inFlight: number }> {
  const [counts] = await tx.$queryRaw<{ slots: number; inFlight: number }[]>`
    select (select coalesce(sum(slots), 0)::int from workers
            where last_seen_at > clock_timestamp() - make_interval(secs => ${SEEN_SECONDS})) as slots,
           (select count(*)::int from tasks where state in ('released', 'running')) as "inFlight"`;
  return counts ?? { slots: 0, inFlight: 0 };
}

/** The first `most` tasks of every team: more cannot be chosen. */
function waitingTasks(tx: Tx, most: number): Promise<WaitingTask[]> {
  return tx.$queryRaw<WaitingTask[]>`
    select next.* from (select id from teams) as team
    cross join lateral (
      select t.id as "taskId", t.attempt, t.team_id as "teamId", t.priority::int, t.rank, t.layer, t.point
      from tasks t
      where t.team_id = team.id and t.state = 'waiting' and t.not_before <= clock_timestamp()
      order by t.priority desc, t.rank, t.layer, t.point, t.id limit ${most}
    ) as next`;
}

/** An account may have grown meanwhile: it is never lowered. */
async function writeAccounts(tx: Tx, changed: Map<string, TeamAccount>): Promise<void> {
  if (changed.size === 0) return;
  const rows = [...changed].map(([id, { virtualSeconds, backlogged }]) => ({ id, virtualSeconds, backlogged }));
  await tx.$executeRaw`
    update teams set virtual_seconds = greatest(virtual_seconds, new."virtualSeconds"), backlogged = new.backlogged
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as new(id text, "virtualSeconds" float8, backlogged boolean)
    where teams.id = new.id`;
}

/** Takes released tasks back for those that should be there instead; as many come in as went out. */
async function swap(tx: Tx, waiting: WaitingTask[], accounts: Map<string, TeamAccount>): Promise<WaitingTask[]> {
  const released = await tx.$queryRaw<WaitingTask[]>`
    select id as "taskId", attempt, team_id as "teamId", priority::int, rank, layer, point from tasks where state = 'released'`;
  const swaps = chooseSwaps(waiting, released, accounts);
  if (swaps.length === 0) return [];
  // Under a new attempt: the message that is in the queue is out of date when a worker gets it.
  const out = await tx.$queryRaw<{ id: string }[]>`
    update tasks set state = 'waiting', attempt = attempt + 1
    where id in (select id from tasks where id = any(${swaps.map((one) => one.out.taskId)}) and state = 'released'
      for no key update skip locked)
    returning id`;
  return swaps.filter((one) => out.some(({ id }) => id === one.out.taskId)).map((one) => one.in);
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
