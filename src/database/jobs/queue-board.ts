import { isDeepStrictEqual } from 'node:util';
import { LRUCache } from 'lru-cache';
import { estimatePosition, expectedStart } from '../../scheduling/fair-share.js';
import { canRun, type Needs } from '../../scheduling/worker-classes.js';
import { forecast, type Forecast } from '../../scheduling/forecast.js';
import type { DatabaseContext } from '../connection/context.js';
import { priorityNumber } from './job-record.js';
import type { WorkerClass, QueuedJob, QueuePlace } from '../records.js';
import { type BegunRow, habitReader, readBegun, type TeamHabits } from './pool-state.js';
import { liveClasses } from '../workers/worker-repository.js';

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
  /** By the name of a worker class: device seconds over weight. */
  accounts: Record<string, number>;
  queues: Queue[];
}

/** Queued jobs of a team with the same priority and needs. */
interface Queue {
  priority: number;
  needs: Needs;
  /** Ascending. */
  seqs: number[];
  /** When they were made, in seconds. */
  createdAt: number[];
  /** How many of them have a task that is released. */
  released: number;
}

interface Snapshot {
  classes: WorkerClass[];
  jobSeconds: number;
  taskSeconds: number;
  teams: Map<string, TeamBoard>;
  begun: BegunRow[];
  habits: Map<string, TeamHabits>;
  /** By what jobs ask for: made when somebody does. */
  forecasts: Map<string, Forecast>;
  /** Of jobs, by their number: worked out when somebody asks. */
  places: Map<number, QueuePlace>;
}

export interface QueueBoard {
  place(job: QueuedJob): Promise<QueuePlace>;
}

/**
 * Where queued jobs stand, from one look at the whole queue that all who ask share: polls are many and the queue may be
 * long. The look is repeated when it is old, and its age grows with what it costs.
 */
export function queueBoard(context: DatabaseContext): QueueBoard {
  const readHabits = habitReader(context);
  // Everybody who asks while a look is under way waits for the same one.
  const looks = new LRUCache<'queue', Snapshot>({
    max: 1,
    ttlResolution: 0,
    fetchMethod: async (_key, _stale, { options }) => {
      const begun = performance.now();
      const snapshot = await read(context, readHabits);
      options.ttl = goodFor(performance.now() - begun);
      return snapshot;
    },
  });

  return {
    async place(job) {
      const snapshot = looks.get('queue') ?? (await looks.forceFetch('queue'));
      const known = snapshot.places.get(job.seq);
      if (known !== undefined) return known;
      const begun = performance.now();
      const place = placeOn(snapshot, job);
      snapshot.places.set(job.seq, place);
      // A forecast takes this process's time as the look takes the database's.
      const ttl = Math.max(looks.getRemainingTTL('queue'), goodFor(performance.now() - begun));
      // Only of the look that is kept: a newer one may be under way.
      if (looks.get('queue') === snapshot) looks.set('queue', snapshot, { ttl });
      return place;
    },
  };
}

/** How long what took so long to find is good for, in milliseconds. */
const goodFor = (tookMs: number): number => Math.min(LONGEST_AGE_MS, tookMs / SHARE_OF_TIME);

function placeOn(snapshot: Snapshot, { teamId, seq, priority, needs }: QueuedJob): QueuePlace {
  const own = snapshot.teams.get(teamId);
  const rank = priorityNumber(priority);
  const classes = snapshot.classes.filter((workerClass) => canRun(needs, workerClass));
  // Only who wants the same workers stands in the way; without any, only who asks for the same.
  const isRival = (other: Needs) =>
    isDeepStrictEqual(other, needs) || classes.some((workerClass) => canRun(other, workerClass));
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
  const total = (of: (workerClass: WorkerClass) => number) =>
    classes.reduce((sum, workerClass) => sum + of(workerClass), 0);
  const slots = total((workerClass) => workerClass.slots);
  const running = total((workerClass) => workerClass.running);
  const released = total((workerClass) => workerClass.released);
  const limit = own?.limit ?? Infinity;
  const expected = forecastFor(snapshot, { needs, classes, slots }).startOf(teamId, rank, before);
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
    // While nothing is known of the team's jobs, or of the pace at which they start.
    expectedStartSeconds:
      expected ??
      expectedStart({
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

/** What it is for the jobs that ask for the same: only who wants the same workers stands in the way. */
function forecastFor(
  snapshot: Snapshot,
  { needs, classes, slots }: { needs: Needs; classes: WorkerClass[]; slots: number },
): Forecast {
  const key = JSON.stringify(needs);
  const known = snapshot.forecasts.get(key);
  if (known !== undefined) return known;
  const isRival = (other: Needs) =>
    isDeepStrictEqual(other, needs) || classes.some((workerClass) => canRun(other, workerClass));
  const all = [...snapshot.habits.values()].flatMap(({ latest }) => latest);
  const account = ({ accounts }: TeamBoard) => accounts[classes[0]?.name ?? ''] ?? 0;
  const rivals = [...snapshot.teams].flatMap(([id, team]) => {
    const begun = snapshot.begun.filter((job) => job.teamId === id && isRival(job.needs));
    const queued = team.queues.filter((queue) => isRival(queue.needs)).map((queue) => merged(team, queue, isRival));
    const unique = queued.filter(({ priority }, i) => queued.findIndex((one) => one.priority === priority) === i);
    return begun.length + unique.length === 0 ? [] : [{ id, team, begun, queued: unique }];
  });
  const lowest = Math.min(...rivals.filter(({ queued }) => queued.length > 0).map(({ team }) => account(team)));
  const made =
    slots === 0 || all.length === 0
      ? NO_FORECAST
      : forecast(
          slots,
          rivals.map(({ id, team, begun, queued }) => {
            const habits = snapshot.habits.get(id);
            const latest = habits === undefined || habits.latest.length === 0 ? all : habits.latest;
            // As the relay raises it for a team that begins to wait.
            const virtualSeconds = Math.max(account(team), Number.isFinite(lowest) ? lowest : 0);
            const { weight, limit } = team;
            return { id, weight, limit, virtualSeconds, latest, arrivals: habits?.arrivals ?? 0, begun, queued };
          }),
        );
  snapshot.forecasts.set(key, made);
  return made;
}

const NO_FORECAST: Forecast = { startOf: () => null };

/** All of a team's jobs with this priority that want the same workers, in the order of their creation. */
function merged({ queues }: TeamBoard, { priority }: Queue, isRival: (needs: Needs) => boolean) {
  const alike = queues.filter((queue) => queue.priority === priority && isRival(queue.needs));
  const createdAt = alike.flatMap((queue) => queue.createdAt).sort((a, b) => a - b);
  return { priority, createdAt, released: alike.reduce((sum, { released }) => sum + released, 0) };
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

interface QueueRow {
  teamId: string;
  priority: number;
  needs: Needs;
  seqs: number[];
  firstAt: number;
  lastAt: number;
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
  accounts: Record<string, number> | null;
}

async function read(context: DatabaseContext, readHabits: ReturnType<typeof habitReader>): Promise<Snapshot> {
  const { prisma, prepared, settings } = context;
  const [queues, teams, classes, begun, released] = await Promise.all([
    // Nothing but what its index has; the times of the first and the last job stand for those between.
    prisma.$queryRaw<QueueRow[]>`
      select queue.*, extract(epoch from first.created_at)::float8 as "firstAt", extract(epoch from last.created_at)::float8 as "lastAt"
      from (
        select team_id as "teamId", priority::int, needs, array_agg(seq::float8 order by seq) as seqs, min(seq) as first, max(seq) as last
        from jobs where status = 'queued' group by team_id, priority, needs
      ) queue join jobs first on first.seq = queue.first join jobs last on last.seq = queue.last`,
    prisma.$queryRaw<TeamRow[]>`
      select team.id, team.weight, team.task_seconds as "taskSeconds", team.job_seconds as "jobSeconds",
        coalesce(team.max_running_tasks, ${settings.MAX_RUNNING_TASKS})::int as limit,
        coalesce(use.running, 0)::int as running, coalesce(use.released, 0)::int as released, coalesce(open.rest, 0)::float8 as rest,
        (select json_object_agg(lane, virtual_seconds) from team_lanes where team_id = team.id) as accounts
      from teams team
      left join (select team_id, count(*) filter (where state = 'running') as running,
          count(*) filter (where state = 'released') as released
        from tasks where state in ('released', 'running') group by team_id) use on use.team_id = team.id
      left join (select team_id, sum(1 - fraction) as rest from jobs where status = 'running' group by team_id) open
        on open.team_id = team.id`,
    liveClasses(prepared),
    readBegun(context),
    prisma.$queryRaw<{ teamId: string; priority: number; needs: Needs; count: number }[]>`
      select j.team_id as "teamId", j.priority::int, j.needs, count(*)::int from tasks t join jobs j on j.id = t.job_id
      where t.state = 'released' and j.status = 'queued' group by 1, 2, 3`,
  ]);
  const busy = new Set([...queues, ...begun].map(({ teamId }) => teamId));
  const habits = await readHabits([...busy]);
  const boards = new Map(
    teams.map((team): [string, TeamBoard] => [
      team.id,
      {
        weight: team.weight,
        limit: team.limit,
        inUse: team.running + team.released,
        jobSeconds: team.jobSeconds,
        rest: team.rest,
        accounts: team.accounts ?? {},
        queues: [],
      },
    ]),
  );
  for (const { teamId, priority, needs, seqs, firstAt, lastAt } of queues) {
    const own = released.filter((one) => one.teamId === teamId && one.priority === priority);
    const alike = own.find((one) => isDeepStrictEqual(one.needs, needs));
    const step = (lastAt - firstAt) / Math.max(1, seqs.length - 1);
    const createdAt = seqs.map((_, i) => firstAt + i * step);
    boards.get(teamId)?.queues.push({ priority, needs, seqs, createdAt, released: alike?.count ?? 0 });
  }
  return {
    classes,
    jobSeconds: meanOfKnown(teams.map((team) => team.jobSeconds)),
    taskSeconds: meanOfKnown(teams.map((team) => team.taskSeconds)),
    teams: boards,
    begun,
    habits,
    forecasts: new Map(),
    places: new Map(),
  };
}

function meanOfKnown(seconds: number[]): number {
  const known = seconds.filter((value) => value > 0);
  return known.length === 0 ? 0 : known.reduce((sum, value) => sum + value, 0) / known.length;
}
