import { Gauge, type Registry } from 'prom-client';
import type { Backlog } from '../../database/records.js';
import type { ApiDeps } from '../deps.js';

/** Teams with a series of their own: those with the most waiting tasks. The others are summed up as `other`. */
const TEAMS = 50;

/** A gauge with labels: one without is 0 after a reset, which is not what is known. */
export const gauge = <L extends string>(registry: Registry, name: string, help: string, labelNames: L[]): Gauge<L> =>
  new Gauge({ name, help, labelNames, registers: [registry] });

export function setStates(target: Gauge<'state'>, values: Record<string, number>): void {
  for (const [state, value] of Object.entries(values)) target.set({ state }, value);
}

export interface PoolGauges {
  /** Asks the database; the names of the worker classes. */
  read(): Promise<string[]>;
  /** Nothing is known. */
  reset(): void;
}

/** What PostgreSQL knows of the whole pool. */
export function poolGauges(registry: Registry, database: ApiDeps['database']): PoolGauges {
  const tasks = gauge(registry, 'sparank_tasks', 'Tasks that are not finished', ['state']);
  const jobs = gauge(registry, 'sparank_jobs', 'Jobs that are not finished', ['state']);
  const unmatched = gauge(registry, 'sparank_tasks_without_worker', 'Tasks that no live worker can run', ['state']);
  const workers = gauge(registry, 'sparank_workers', 'Workers that are alive', ['state', 'engine']);
  const classTasks = gauge(
    registry,
    'sparank_class_tasks',
    'Tasks that are not finished, by the workers that run them',
    ['device', 'class', 'state'],
  );
  const teamTasks = gauge(registry, 'sparank_team_tasks', 'Tasks of a team that are not finished', ['team', 'state']);
  const teamJobs = gauge(registry, 'sparank_team_jobs', 'Jobs of a team that are not finished', ['team', 'state']);
  const oldest = gauge(registry, 'sparank_team_oldest_task_seconds', 'Wait of the oldest task that could run', [
    'team',
  ]);
  const ended = gauge(
    registry,
    'sparank_jobs_ended_last_hour',
    'Jobs by how they ended, and whose fault a failure was',
    ['status', 'origin'],
  );
  const predictions = gauge(
    registry,
    'sparank_start_predictions_last_hour',
    'Jobs that started, by how far off the start was that they were told, as a part of the wait',
    ['error', 'direction'],
  );
  const webhooks = gauge(registry, 'sparank_webhooks_pending', 'Messages about ended jobs that are not delivered', [
    'state',
  ]);
  const overdue = gauge(registry, 'sparank_webhooks_overdue_seconds', 'Wait of the oldest message that is due', [
    'state',
  ]);
  const all = [
    tasks,
    unmatched,
    classTasks,
    jobs,
    workers,
    teamTasks,
    teamJobs,
    oldest,
    ended,
    predictions,
    webhooks,
    overdue,
  ];

  const reset = () => {
    for (const one of all) one.reset();
  };

  async function read(): Promise<string[]> {
    const [pool, backlog, starts] = await Promise.all([
      database.pool.overview(),
      database.pool.backlog(),
      database.predictions.errors(),
    ]);
    reset();
    const { unmatched: withoutWorker, ...states } = pool.tasks;
    setStates(tasks, states);
    unmatched.set({ state: 'waiting' }, withoutWorker);
    for (const { count, ...labels } of backlog.classes) classTasks.set(labels, count);
    setStates(jobs, pool.jobs);
    for (const engine of new Set(pool.workers.map((worker) => worker.engine))) {
      const those = pool.workers.filter((worker) => worker.engine === engine);
      const busy = those.filter((worker) => worker.busy !== null).length;
      workers.set({ state: 'busy', engine }, busy);
      const out = those.filter((worker) => worker.busy === null && worker.trouble !== null).length;
      workers.set({ state: 'idle', engine }, those.length - busy - out);
      workers.set({ state: 'out_of_service', engine }, out);
    }
    for (const { team, ...values } of boundTeams(backlog.teams)) {
      teamJobs.set({ team, state: 'queued' }, values.jobsQueued);
      teamJobs.set({ team, state: 'running' }, values.jobsRunning);
      teamTasks.set({ team, state: 'waiting' }, values.tasksWaiting);
      teamTasks.set({ team, state: 'released' }, values.tasksReleased);
      teamTasks.set({ team, state: 'running' }, values.tasksRunning);
      oldest.set({ team }, values.oldestSeconds);
    }
    for (const { status, origin, count } of backlog.endedLastHour) ended.set({ status, origin }, count);
    for (const { error, direction, count } of starts) predictions.set({ error, direction }, count);
    webhooks.set({ state: 'pending' }, backlog.webhooks.pending);
    overdue.set({ state: 'pending' }, backlog.webhooks.overdueSeconds);
    return pool.classes.map(({ name }) => name);
  }

  return { read, reset };
}

type TeamValues = Omit<Backlog['teams'][number], 'teamId'>;

/** However many teams there are, the series stay few. */
export function boundTeams(teams: Backlog['teams']): ({ team: string } & TeamValues)[] {
  const named = teams.slice(0, TEAMS).map(({ teamId, ...values }) => ({ team: teamId, ...values }));
  const rest = teams.slice(TEAMS);
  if (rest.length === 0) return named;
  const sum = (value: (team: TeamValues) => number) => rest.reduce((total, team) => total + value(team), 0);
  return [
    ...named,
    {
      team: 'other',
      jobsQueued: sum((team) => team.jobsQueued),
      jobsRunning: sum((team) => team.jobsRunning),
      tasksWaiting: sum((team) => team.tasksWaiting),
      tasksReleased: sum((team) => team.tasksReleased),
      tasksRunning: sum((team) => team.tasksRunning),
      oldestSeconds: Math.max(...rest.map((team) => team.oldestSeconds)),
    },
  ];
}
