import type { TeamAccount, WaitingTask } from '../../../scheduling/fair-share.js';
import { workerClassOf, type Needs, type Offer } from '../../../scheduling/worker-classes.js';
import type { Run } from '../../connection/context.js';

/** Weight of the newest value in the moving averages of what a task and a job cost. */
const AVERAGE_STEP = 0.2;

/**
 * Adds to the accounts what tasks have cost since the last turn, and to the averages, in the order of their ends. Only
 * the relay in charge does, so nobody else ever waits for an account.
 */
export async function settleCharges(run: Run): Promise<void> {
  await run(
    'settle charges',
    `with due as (
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
        sum(coalesce(task_seconds, job_seconds) * $1::float8 * (1 - $1::float8) ^ least(n - i, 1000)) as steps,
        max(coalesce(task_seconds, job_seconds)) filter (where i = 1) as first
      from recent group by 1, 2
    )
    update teams set
      task_seconds = coalesce((select l.steps + (1 - $1::float8) ^ least(l.n, 1000)
        * case when teams.task_seconds = 0 then l.first else teams.task_seconds end from latest l where l.team_id = teams.id and not of_job), task_seconds),
      job_seconds = coalesce((select l.steps + (1 - $1::float8) ^ least(l.n, 1000)
        * case when teams.job_seconds = 0 then l.first else teams.job_seconds end from latest l where l.team_id = teams.id and of_job), job_seconds)
    where id in (select team_id from latest)`,
    [AVERAGE_STEP],
  );
}

/** A task that is not taken yet: what it needs and, when it is released, to whom. */
export interface ClassTask extends WaitingTask {
  needs: Needs;
  workerClass: string;
}

/** What a team has in use in a worker class. */
export interface InUse {
  workerClass: string;
  teamId: string;
  running: number;
  /** Of those that run, with workers that drain. */
  draining: number;
  released: number;
  /** Lowest priority of its released tasks. */
  lowest: number | null;
  overrun: number;
}

export const tasksInUse = (run: Run): Promise<InUse[]> =>
  run(
    'tasks in use',
    `select t.lane as "workerClass", t.team_id as "teamId", count(*) filter (where t.state = 'running')::int as running,
       count(*) filter (where t.state = 'running' and t.worker_id in (select id from workers where draining_since is not null))::int
         as draining,
       count(*) filter (where t.state = 'released')::int as released,
       (min(t.priority) filter (where t.state = 'released'))::int as lowest,
       coalesce(sum(greatest(0, extract(epoch from clock_timestamp() - t.started_at) - team.task_seconds))
         filter (where t.state = 'running'), 0)::float8 as overrun
     from tasks t join teams team on team.id = t.team_id where t.state in ('released', 'running') group by 1, 2`,
  );

/** A team's account in a worker class, with the priority of its first task that waits there. */
export type ClassAccount = TeamAccount & { next: number | null; lowest: number | null };

interface AccountRow {
  id: string;
  weight: number;
  virtualSeconds: number;
  taskSeconds: number;
  backlogged: boolean;
  limit: number;
  next: number | null;
}

/**
 * In one worker class, of every team that has tasks in use, or waiting there, or that is noted as waiting. Tasks in
 * other classes take their part of the limit.
 */
export async function readAccounts(
  run: Run,
  offer: Offer,
  inUse: InUse[],
  limit: number,
): Promise<Map<string, ClassAccount>> {
  const workerClass = workerClassOf(offer);
  const own = new Map(inUse.flatMap((one) => (one.workerClass === workerClass ? [[one.teamId, one] as const] : [])));
  const all = new Map<string, number>();
  for (const { teamId, running, released } of inUse) all.set(teamId, (all.get(teamId) ?? 0) + running + released);
  const rows = await run<AccountRow>(
    'accounts',
    `select team.id, team.weight, coalesce(account.virtual_seconds, 0)::float8 as "virtualSeconds",
       team.task_seconds as "taskSeconds", coalesce(account.backlogged, false) as backlogged,
       coalesce(team.max_running_tasks, $2::int) as limit, next.priority as next
     from teams team left join team_lanes account on account.team_id = team.id and account.lane = $1
     left join lateral (
       select t.priority::int from tasks t
       where t.team_id = team.id and t.state = 'waiting' and t.not_before <= clock_timestamp()
         and (t.needs is null or sparank_can_run(t.needs, $4, $5, $6))
       order by t.priority desc, t.rank, t.layer, t.point, t.id limit 1
     ) next on true
     where next.priority is not null or account.backlogged or team.id = any($3)`,
    [workerClass, limit, [...all.keys()], offer.engine, offer.deviceMemoryBytes, offer.class],
  );
  return new Map(
    rows.map(({ id, ...account }) => {
      const { running = 0, released = 0, overrun = 0, lowest = null } = own.get(id) ?? {};
      const elsewhere = (all.get(id) ?? 0) - running - released;
      const mine = { inUse: running + released, released, overrun, lowest, limit: account.limit - elsewhere };
      return [id, { ...account, ...mine }];
    }),
  );
}

export async function highestAccount(run: Run, workerClass: string): Promise<number> {
  const [row] = await run<{ highest: number }>(
    'highest account',
    'select coalesce(max(virtual_seconds), 0)::float8 as highest from team_lanes where lane = $1',
    [workerClass],
  );
  return row?.highest ?? 0;
}

export async function writeAccounts(run: Run, workerClass: string, changed: Map<string, TeamAccount>): Promise<void> {
  if (changed.size === 0) return;
  const rows = [...changed].map(([id, { virtualSeconds, backlogged }]) => ({ id, virtualSeconds, backlogged }));
  await run(
    'write accounts',
    `insert into team_lanes as l (team_id, lane, virtual_seconds, backlogged)
     select new.id, $1, new."virtualSeconds", new.backlogged
     from jsonb_to_recordset($2::jsonb) as new(id text, "virtualSeconds" float8, backlogged boolean)
     on conflict (team_id, lane) do update
       set virtual_seconds = greatest(l.virtual_seconds, excluded.virtual_seconds), backlogged = excluded.backlogged`,
    [workerClass, JSON.stringify(rows)],
  );
}

/** The first tasks of these teams that the workers of the class can run, `most` of each. */
export const waitingTasks = (run: Run, offer: Offer, teams: string[], most: number): Promise<ClassTask[]> =>
  run(
    'waiting tasks',
    `select next.* from unnest($1::text[]) as team(id)
     cross join lateral (
       select t.id as "taskId", t.attempt, t.team_id as "teamId", t.priority::int, t.rank, t.layer, t.point, t.needs, t.lane as "workerClass"
       from tasks t
       where t.team_id = team.id and t.state = 'waiting' and t.not_before <= clock_timestamp()
         and (t.needs is null or sparank_can_run(t.needs, $3, $4, $5))
       order by t.priority desc, t.rank, t.layer, t.point, t.id limit $2
     ) as next`,
    [teams, most, offer.engine, offer.deviceMemoryBytes, offer.class],
  );

export const releasedTasks = (run: Run): Promise<ClassTask[]> =>
  run(
    'released tasks',
    `select id as "taskId", attempt, team_id as "teamId", priority::int, rank, layer, point, needs, lane as "workerClass"
     from tasks where state in ('released', 'running') and state = 'released'`,
  );
