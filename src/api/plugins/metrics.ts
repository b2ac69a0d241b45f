import type { FastifyInstance } from 'fastify';
import { Gauge, Histogram } from 'prom-client';
import { Type } from 'typebox';
import type { Backlog } from '../../database/records.js';
import { within } from '../../errors/within.js';
import type { ApiDeps } from '../deps.js';

/** Seconds; polls take milliseconds, uploads minutes. */
const BUCKETS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
/** Teams with a series of their own: those with the most waiting tasks. The others are summed up as `other`. */
const TEAMS = 50;
/** A storage that takes longer does not answer. */
const STORAGE_MS = 3_000;

/**
 * Requests by route (never by URL, whose ids would make a new series each), the state of the pool at the moment of
 * asking, and what this process has done besides.
 */
export function registerMetrics(app: FastifyInstance, { database, queue, storage, logger, metrics }: ApiDeps): void {
  const { registry } = metrics;
  const registers = [registry];
  const duration = new Histogram({
    name: 'sparank_http_request_duration_seconds',
    help: 'Time from the request to the end of its answer',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: BUCKETS,
    registers,
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none');
    duration.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000);
  });
  const gauge = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Gauge({ name, help, labelNames, registers });
  const messages = gauge('sparank_queue_messages', 'Task messages in the queue', ['state']);
  const tasks = gauge('sparank_tasks', 'Tasks that are not finished', ['state']);
  const jobs = gauge('sparank_jobs', 'Jobs that are not finished', ['state']);
  const unmatched = gauge('sparank_tasks_without_worker', 'Tasks that no live worker can run', ['state']);
  const workers = gauge('sparank_workers', 'Workers that are alive', ['state', 'engine']);
  const classTasks = gauge('sparank_class_tasks', 'Tasks that are not finished, by the workers that run them', [
    'device',
    'class',
    'state',
  ]);
  const teamTasks = gauge('sparank_team_tasks', 'Tasks of a team that are not finished', ['team', 'state']);
  const teamJobs = gauge('sparank_team_jobs', 'Jobs of a team that are not finished', ['team', 'state']);
  const oldest = gauge('sparank_team_oldest_task_seconds', 'Wait of the oldest task that could run', ['team']);
  const ended = gauge('sparank_jobs_ended_last_hour', 'Jobs by how they ended, and whose fault a failure was', [
    'status',
    'origin',
  ]);
  const predictions = gauge(
    'sparank_start_predictions_last_hour',
    'Jobs that started, by how far off the start was that they were told, as a part of the wait',
    ['error', 'direction'],
  );
  const webhooks = gauge('sparank_webhooks_pending', 'Messages about ended jobs that are not delivered', ['state']);
  const overdue = gauge('sparank_webhooks_overdue_seconds', 'Wait of the oldest message that is due', ['state']);
  // All of them have a label: a gauge without one is 0 after a reset, which is not what is known.
  const answers = gauge('sparank_backend_up', 'Whether PostgreSQL, queue and storage answered the last question', [
    'backend',
  ]);
  const ofDatabase = [
    tasks,
    unmatched,
    classTasks,
    jobs,
    workers,
    teamTasks,
    teamJobs,
    oldest,
    ended,
    webhooks,
    overdue,
  ];

  const set = (target: Gauge<'state'>, values: Record<string, number>) => {
    for (const [state, value] of Object.entries(values)) target.set({ state }, value);
  };
  /** As they were when the database was asked last. */
  let classes: string[] = [];
  async function readDatabase(): Promise<void> {
    const [pool, backlog, starts] = await Promise.all([
      database.pool.overview(),
      database.pool.backlog(),
      database.predictions.errors(),
    ]);
    for (const one of ofDatabase) one.reset();
    const { unmatched: withoutWorker, ...states } = pool.tasks;
    set(tasks, states);
    unmatched.set({ state: 'waiting' }, withoutWorker);
    classes = pool.classes.map(({ name }) => name);
    for (const { count, ...labels } of backlog.classes) classTasks.set(labels, count);
    set(jobs, pool.jobs);
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
  }
  const readQueue = async () => set(messages, await queue.depth(classes));

  /** What is known is worth having just when a backend is down. */
  const attempt = async (backend: string, read: () => Promise<void>, gauges: Gauge<never>[]) => {
    try {
      await read();
      answers.set({ backend }, 1);
    } catch (error) {
      answers.set({ backend }, 0);
      for (const one of gauges) one.reset();
      logger.warn({ err: error }, `metrics without ${backend}`);
    }
  };

  async function look(): Promise<string> {
    await Promise.all([
      attempt('postgres', readDatabase, ofDatabase as Gauge<never>[]),
      attempt('queue', readQueue, [messages] as Gauge<never>[]),
      attempt('storage', () => within(storage.check(), STORAGE_MS), []),
    ]);
    return registry.metrics();
  }
  /** Nobody needs a key: however many ask, PostgreSQL is asked once at a time. */
  let underWay: Promise<string> | null = null;

  app.get(
    '/metrics',
    {
      config: { scope: 'public' },
      schema: {
        operationId: 'getMetrics',
        tags: ['service'],
        summary: 'Prometheus metrics',
        security: [],
        produces: ['text/plain'],
        response: { 200: { description: 'Prometheus text', content: { 'text/plain': { schema: Type.String() } } } },
      },
    },
    async (_request, reply) => {
      underWay ??= look().finally(() => (underWay = null));
      return reply.type(registry.contentType).send(await underWay);
    },
  );
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
