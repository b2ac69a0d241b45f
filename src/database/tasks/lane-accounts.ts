import type { TeamAccount, WaitingTask } from '../../scheduling/fair-share.js';
import type { Needs, Offer } from '../../scheduling/worker-classes.js';
import type { Tx } from '../connection/context.js';

/** Weight of the newest value in the moving averages of what a task and a job cost. */
const AVERAGE_STEP = 0.2;

/**
 * Adds to the accounts what tasks have cost since the last turn, and to the averages, in the order of their ends. Only the relay in
 * charge does, so nobody else ever waits for an account.
 */
export async function settleCharges(tx: Tx): Promise<void> {
  const [due] = await tx.$queryRaw<{ any: boolean }[]>`select exists (select from charges) as any`;
  if (due?.any !== true) return;
  await tx.$executeRaw`
    with due as (
      delete from charges returning *
    ), spent as (
      insert into team_lanes as l (team_id, lane, virtual_seconds)
      select due.team_id, due.lane, sum(due.task_seconds) / min(teams.weight) from due join teams on teams.id = due.team_id
      where due.task_seconds is not null group by 1, 2 order by 1, 2
      on conflict (team_id, lane) do update set virtual_seconds = l.virtual_seconds + excluded.virtual_seconds
    ), recent as (
      select team_id, task_seconds, job_seconds,
        row_number() over (partition by team_id, task_seconds is null order by id) as i,
        count(*) over (partition by team_id, task_seconds is null) as n
      from due
    ), latest as (
      -- Each value weighs a step, less what came after it took; the first one ever is the average itself.
      select team_id, task_seconds is null as of_job, max(n) as n,
        sum(coalesce(task_seconds, job_seconds) * ${AVERAGE_STEP}::float8 * (1 - ${AVERAGE_STEP}::float8) ^ least(n - i, 1000)) as steps,
        max(coalesce(task_seconds, job_seconds)) filter (where i = 1) as first
      from recent group by 1, 2
    )
    update teams set
      task_seconds = coalesce((select l.steps + (1 - ${AVERAGE_STEP}::float8) ^ least(l.n, 1000)
        * case when teams.task_seconds = 0 then l.first else teams.task_seconds end from latest l where l.team_id = teams.id and not of_job), task_seconds),
      job_seconds = coalesce((select l.steps + (1 - ${AVERAGE_STEP}::float8) ^ least(l.n, 1000)
        * case when teams.job_seconds = 0 then l.first else teams.job_seconds end from latest l where l.team_id = teams.id and of_job), job_seconds)
    where id in (select team_id from latest)`;
}

/** A task that is not taken yet: what it needs and, when it is released, to whom. */
export interface LaneTask extends WaitingTask {
  needs: Needs;
  lane: string;
}

/**
 * In one lane, of every team that has tasks which are not finished, or that is noted as waiting. Tasks in other lanes
 * take their part of the limit.
 */
export async function readAccounts(
  tx: Tx,
  lane: string,
  limit: number,
): Promise<{ accounts: Map<string, TeamAccount>; highest: number }> {
  const rows = await tx.$queryRaw<({ id: string; highest: number } & TeamAccount)[]>`
    with busy as (
      select t.team_id, count(*) filter (where t.lane = ${lane})::int as in_use, count(*) filter (where t.lane <> ${lane})::int as elsewhere,
        count(*) filter (where t.state = 'released' and t.lane = ${lane})::int as released,
        coalesce(sum(greatest(0, extract(epoch from clock_timestamp() - t.started_at) - team.task_seconds))
          filter (where t.state = 'running' and t.lane = ${lane}), 0)::float8 as overrun
      from tasks t join teams team on team.id = t.team_id where t.state in ('released', 'running') group by 1
    )
    select team.id, team.weight, coalesce(account.virtual_seconds, 0)::float8 as "virtualSeconds",
      team.task_seconds as "taskSeconds", coalesce(account.backlogged, false) as backlogged,
      (coalesce(team.max_running_tasks, ${limit}) - coalesce(busy.elsewhere, 0))::int as limit,
      coalesce(busy.in_use, 0)::int as "inUse", coalesce(busy.released, 0)::int as released,
      coalesce(busy.overrun, 0)::float8 as overrun,
      coalesce((select max(virtual_seconds) from team_lanes where lane = ${lane}), 0)::float8 as highest
    from teams team left join busy on busy.team_id = team.id
    left join team_lanes account on account.team_id = team.id and account.lane = ${lane}
    where account.backlogged or busy.team_id is not null
      or exists (select from tasks where team_id = team.id and state = 'waiting')`;
  const accounts = new Map(rows.map(({ id, highest: _, ...account }) => [id, account]));
  return { accounts, highest: rows[0]?.highest ?? 0 };
}

/** An account may have grown meanwhile: it is never lowered. */
export async function writeAccounts(tx: Tx, lane: string, changed: Map<string, TeamAccount>): Promise<void> {
  if (changed.size === 0) return;
  const rows = [...changed].map(([id, { virtualSeconds, backlogged }]) => ({ id, virtualSeconds, backlogged }));
  await tx.$executeRaw`
    insert into team_lanes as l (team_id, lane, virtual_seconds, backlogged)
    select new.id, ${lane}, new."virtualSeconds", new.backlogged
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as new(id text, "virtualSeconds" float8, backlogged boolean)
    order by new.id
    on conflict (team_id, lane) do update
      set virtual_seconds = greatest(l.virtual_seconds, excluded.virtual_seconds), backlogged = excluded.backlogged`;
}

/** The first `most` tasks of every team that these workers can run: more cannot be chosen. */
export function waitingTasks(tx: Tx, offer: Offer, most: number): Promise<LaneTask[]> {
  return tx.$queryRaw<LaneTask[]>`
    select next.* from (select id from teams) as team
    cross join lateral (
      select t.id as "taskId", t.attempt, t.team_id as "teamId", t.priority::int, t.rank, t.layer, t.point, t.needs, t.lane
      from tasks t
      where t.team_id = team.id and t.state = 'waiting' and t.not_before <= clock_timestamp()
        and sparank_can_run(t.needs, ${offer.engine}, ${offer.deviceMemoryBytes}::bigint, ${offer.class})
      order by t.priority desc, t.rank, t.layer, t.point, t.id limit ${most}
    ) as next`;
}

export function releasedTasks(tx: Tx): Promise<LaneTask[]> {
  return tx.$queryRaw<LaneTask[]>`
    select id as "taskId", attempt, team_id as "teamId", priority::int, rank, layer, point, needs, lane
    from tasks where state = 'released'`;
}
