import { isDeepStrictEqual } from 'node:util';
import { estimatePosition, expectedStart } from '../../scheduling/fair-share.js';
import { canRun, type Needs } from '../../scheduling/worker-classes.js';
import type { DatabaseContext } from '../connection/context.js';
import { priorityNumber } from './job-record.js';
import type { LaneRecord, QueuedJob, QueuePlace } from '../records.js';
import { liveLanes } from '../workers/worker-repository.js';

/** Reading the queue may take this part of the database's time, whoever polls and however long the queue is. */
const SHARE_OF_TIME = 1 / 25;
/** However long it takes: a place that is shown is no older than this when the look at it begins anew. */
const LONGEST_AGE_MS = 1_000;

interface TeamBoard {
  weight: number;
  limit: number;
  inUse: number;
  jobSeconds: number;
  /** What is left of its running jobs, in whole jobs. */
  rest: number;
  queues: Queue[];
}

/** Queued jobs of a team with the same priority and needs. */
interface Queue {
  priority: number;
  needs: Needs;
  /** Ascending. */
  seqs: number[];
}

interface Snapshot {
  lanes: LaneRecord[];
  jobSeconds: number;
  taskSeconds: number;
  teams: Map<string, TeamBoard>;
}

export interface QueueBoard {
  place(job: QueuedJob): Promise<QueuePlace>;
}

/**
 * Where queued jobs stand, from one look at the whole queue that all who ask share: polls are many and the queue may be long.
 * The look is repeated when it is old, and its age grows with what it costs.
 */
export function queueBoard(context: DatabaseContext): QueueBoard {
  let latest: { snapshot: Promise<Snapshot>; until: number } | null = null;

  function look(): Promise<Snapshot> {
    if (latest !== null && performance.now() < latest.until) return latest.snapshot;
    const begun = performance.now();
    // Everybody who asks while it is under way waits for the same one.
    const current = { snapshot: read(context), until: Infinity };
    latest = current;
    current.snapshot.then(
      () => {
        const took = performance.now() - begun;
        current.until = performance.now() + Math.min(LONGEST_AGE_MS, took / SHARE_OF_TIME);
      },
      () => {
        if (latest === current) latest = null;
      },
    );
    return current.snapshot;
  }

  return { place: async (job) => placeOn(await look(), job) };
}

function placeOn(snapshot: Snapshot, { teamId, seq, priority, needs }: QueuedJob): QueuePlace {
  const own = snapshot.teams.get(teamId);
  const rank = priorityNumber(priority);
  const lanes = snapshot.lanes.filter((lane) => canRun(needs, lane));
  // Only who wants the same workers stands in the way; without any, only who asks for the same.
  const isRival = (other: Needs) => isDeepStrictEqual(other, needs) || lanes.some((lane) => canRun(other, lane));
  let [higher, before] = [0, 0];
  for (const queue of own?.queues ?? []) {
    if (queue.priority < rank || !isRival(queue.needs)) continue;
    if (queue.priority > rank) higher += queue.seqs.length;
    else before += countBelow(queue.seqs, seq);
  }
  const ahead = higher + before;
  const weight = own?.weight ?? 1;
  const others = [...snapshot.teams].flatMap(([id, team]) => {
    const queued = team.queues.reduce((sum, queue) => sum + (isRival(queue.needs) ? queue.seqs.length : 0), 0);
    return id !== teamId && queued > 0 ? [{ weight: team.weight, queued }] : [];
  });
  const total = (of: (lane: LaneRecord) => number) => lanes.reduce((sum, lane) => sum + of(lane), 0);
  const slots = total((lane) => lane.slots);
  const running = total((lane) => lane.running);
  const released = total((lane) => lane.released);
  const limit = own?.limit ?? Infinity;
  return {
    position: estimatePosition(ahead, weight, others),
    reason:
      slots === 0
        ? 'no_such_worker'
        : own !== undefined && own.inUse >= limit
          ? 'team_limit'
          : higher > 0
            ? 'higher_priority'
            : 'waiting_for_worker',
    expectedStartSeconds: expectedStart({
      slots,
      free: slots - running,
      released,
      share: weight / (weight + others.reduce((sum, team) => sum + team.weight, 0)),
      limit,
      jobsAhead: ahead + (own?.rest ?? 0),
      jobSeconds: own !== undefined && own.jobSeconds > 0 ? own.jobSeconds : snapshot.jobSeconds,
      taskSeconds: snapshot.taskSeconds,
    }),
  };
}

/** How many of the ascending numbers are below `value`. */
function countBelow(ascending: number[], value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? Infinity) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface TeamRow {
  id: string;
  weight: number;
  limit: number;
  taskSeconds: number;
  jobSeconds: number;
  running: number;
  released: number;
  rest: number;
}

async function read({ prisma, prepared, settings }: DatabaseContext): Promise<Snapshot> {
  const [queues, teams, lanes] = await Promise.all([
    prisma.$queryRaw<({ teamId: string } & Queue)[]>`
      select team_id as "teamId", priority::int, needs, array_agg(seq::float8 order by seq) as seqs
      from jobs where status = 'queued' group by team_id, priority, needs`,
    prisma.$queryRaw<TeamRow[]>`
      select team.id, team.weight, team.task_seconds as "taskSeconds", team.job_seconds as "jobSeconds",
        coalesce(team.max_running_tasks, ${settings.MAX_RUNNING_TASKS})::int as limit,
        coalesce(use.running, 0)::int as running, coalesce(use.released, 0)::int as released, coalesce(open.rest, 0)::float8 as rest
      from teams team
      left join (select team_id, count(*) filter (where state = 'running') as running,
          count(*) filter (where state = 'released') as released
        from tasks where state in ('released', 'running') group by team_id) use on use.team_id = team.id
      left join (select team_id, sum(1 - fraction) as rest from jobs where status = 'running' group by team_id) open
        on open.team_id = team.id`,
    liveLanes(prepared),
  ]);
  const boards = new Map(
    teams.map((team): [string, TeamBoard] => [
      team.id,
      {
        weight: team.weight,
        limit: team.limit,
        inUse: team.running + team.released,
        jobSeconds: team.jobSeconds,
        rest: team.rest,
        queues: [],
      },
    ]),
  );
  for (const { teamId, ...queue } of queues) boards.get(teamId)?.queues.push(queue);
  return {
    lanes,
    jobSeconds: meanOfKnown(teams.map((team) => team.jobSeconds)),
    taskSeconds: meanOfKnown(teams.map((team) => team.taskSeconds)),
    teams: boards,
  };
}

function meanOfKnown(seconds: number[]): number {
  const known = seconds.filter((value) => value > 0);
  return known.length === 0 ? 0 : known.reduce((sum, value) => sum + value, 0) / known.length;
}
