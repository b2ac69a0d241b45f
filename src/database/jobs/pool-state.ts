import type { TaskKind } from '../../jobs/tasks.js';
import type { BegunJob, JobSample } from '../../scheduling/forecast.js';
import type { Needs } from '../../scheduling/worker-classes.js';
import type { DatabaseContext } from '../connection/context.js';

/** What the forecast of starts has to know, beside the queue itself. */

export interface BegunRow extends BegunJob {
  teamId: string;
  needs: Needs;
}

/** Jobs of which a task was claimed, with what is left of them. */
export async function readBegun({ prisma }: DatabaseContext): Promise<BegunRow[]> {
  interface Row {
    id: string;
    teamId: string;
    priority: number;
    needs: Needs;
    createdAt: number;
    deviceSeconds: number;
    layers: number;
    points: number;
    kind: TaskKind;
    open: number;
    released: number;
    running: number[];
    tasks: number;
    seconds: number;
  }
  const rows = await prisma.$queryRaw<Row[]>`
    select j.id, j.team_id as "teamId", j.priority::int, j.needs, extract(epoch from j.created_at)::float8 as "createdAt",
      j.device_seconds as "deviceSeconds", j.layers_total as layers, coalesce(jsonb_array_length(j.spec->'targets'), 1) as points,
      t.kind, count(*) filter (where t.state = 'waiting')::int as open, count(*) filter (where t.state = 'released')::int as released,
      coalesce(array_agg(extract(epoch from clock_timestamp() - t.started_at)::float8) filter (where t.state = 'running'), '{}') as running,
      count(*) filter (where t.state = 'succeeded')::int as tasks,
      coalesce(sum(t.device_seconds) filter (where t.state = 'succeeded'), 0)::float8 as seconds
    from jobs j join tasks t on t.job_id = j.id where j.status = 'running' group by j.id, t.kind`;
  const jobs = new Map<string, BegunRow>();
  for (const { id, teamId, priority, needs, createdAt, deviceSeconds, layers, points, ...step } of rows) {
    const job = jobs.get(id) ?? {
      ...{ teamId, priority, needs, createdAt, deviceSeconds, points, left: 0, released: 0 },
      ...{ kind: 'inspect' as const, done: [], running: [], layers: layers > 0 ? layers : null },
    };
    if (step.tasks > 0) job.done.push({ kind: step.kind, tasks: step.tasks, seconds: step.seconds });
    // A job is in one step at a time.
    if (step.open + step.released + step.running.length > 0)
      Object.assign(job, { kind: step.kind, left: step.open, released: step.released, running: step.running });
    jobs.set(id, job);
  }
  return [...jobs.values()];
}

/** Jobs that are looked at for what a team's jobs are like. */
const LATEST_JOBS = 20;
/** Teams that are looked at; the jobs of the others are taken to be like those. */
const MOST_TEAMS = 100;
const COSTS_MS = 60_000;

export interface TeamHabits {
  latest: JobSample[];
  /** Jobs in a second. */
  arrivals: number;
}

const nothing = (): Record<TaskKind, number[]> => ({ inspect: [], plan: [], layer: [], assemble: [], evaluate: [] });

/**
 * What the latest jobs of the teams took, and how often they come: read once a minute, for teams that have something to
 * do.
 */
export function habitReader({ prisma }: DatabaseContext): (teamIds: string[]) => Promise<Map<string, TeamHabits>> {
  const known = new Map<string, { habits: TeamHabits; until: number }>();
  return async (teamIds) => {
    const now = performance.now();
    for (const [id, { until }] of known) if (until < now) known.delete(id);
    const asked = teamIds.filter((id) => !known.has(id)).slice(0, MOST_TEAMS);
    if (asked.length > 0) {
      const [tasks, rates] = await Promise.all([
        prisma.$queryRaw<{ teamId: string; id: string; kind: TaskKind; seconds: number[] }[]>`
          select j.team_id as "teamId", j.id, t.kind, array_agg(t.device_seconds) as seconds
          from unnest(${asked}::text[]) as team(id)
          cross join lateral (
            select id, team_id from jobs where team_id = team.id and status = 'succeeded' order by seq desc limit ${LATEST_JOBS}) j
          join tasks t on t.job_id = j.id and t.state = 'succeeded'
          group by j.team_id, j.id, t.kind`,
        prisma.$queryRaw<{ teamId: string; arrivals: number }[]>`
          select team.id as "teamId",
            (count(j.at) / greatest(1, extract(epoch from clock_timestamp() - min(j.at))))::float8 as arrivals
          from unnest(${asked}::text[]) as team(id)
          cross join lateral (
            select created_at as at from jobs where team_id = team.id order by seq desc limit ${LATEST_JOBS}) j
          group by team.id`,
      ]);
      const samples = new Map<string, Map<string, Record<TaskKind, number[]>>>();
      for (const { teamId, id, kind, seconds } of tasks) {
        const jobs = samples.get(teamId) ?? new Map<string, Record<TaskKind, number[]>>();
        const job = jobs.get(id) ?? nothing();
        job[kind] = seconds;
        samples.set(teamId, jobs.set(id, job));
      }
      for (const id of asked) {
        const arrivals = rates.find(({ teamId }) => teamId === id)?.arrivals ?? 0;
        const latest = [...(samples.get(id)?.values() ?? [])];
        known.set(id, { habits: { latest, arrivals }, until: now + COSTS_MS });
      }
    }
    return new Map([...known].map(([id, { habits }]) => [id, habits]));
  };
}
