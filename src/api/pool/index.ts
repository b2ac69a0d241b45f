import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { LRUCache } from 'lru-cache';
import { Type } from 'typebox';
import type { PoolMoment } from '../../database/records.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { isAdmin } from '../teams/access.js';
import { PlaceSchema, presentPlace } from '../jobs/schema.js';
import { Time } from '../schemas.js';
import { Offer, presentWorker, WorkerSchema } from './worker.js';

const Count = Type.Integer();
const PoolSchema = Type.Object(
  {
    workers: Type.Array(WorkerSchema),
    classes: Type.Array(
      Type.Object({
        engine: Type.String(),
        ...Offer,
        workers: Count,
        slots: Count,
        running_tasks: Count,
        released_tasks: Count,
      }),
      { description: 'the workers by what they have' },
    ),
    queue: Type.Object({
      jobs: Type.Object({ queued: Count, running: Count }),
      tasks: Type.Object({
        waiting: Count,
        released: Count,
        running: Count,
        unmatched: Type.Integer({ description: 'those of the waiting ones that no live worker can run' }),
      }),
    }),
    own: Type.Array(Type.Object({ job_id: Type.String(), place: PlaceSchema }), {
      description: "this team's queued jobs, the next one first",
    }),
    teams: Type.Array(
      Type.Object({
        team_id: Type.String(),
        weight: Type.Number(),
        share: Type.Number({ description: 'part of the running tasks, 0..1' }),
        running_tasks: Count,
        waiting_tasks: Count,
        queued_jobs: Count,
      }),
      { description: "the own team; with the scope admin, all of them. `queue` has everybody's sums" },
    ),
  },
  { $id: 'Pool' },
);

const HistorySchema = Type.Object(
  {
    data: Type.Array(Type.Object({ at: Time, running: Count, waiting: Count }), {
      description: 'tasks of all teams at the end of every minute, the oldest first',
    }),
  },
  { $id: 'PoolHistory' },
);
/** It is counted from the tasks of this time, once for all who ask in a while. */
const HISTORY_MINUTES = 60;
const HISTORY_MS = 20_000;

/** Places are shown for so many of the team's queued jobs. */
const OWN_JOBS = 20;

export const poolRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { database } = deps;
  app.get(
    '/pool',
    {
      config: { scope: 'jobs:read' },
      schema: {
        operationId: 'getPool',
        tags: ['pool'],
        summary:
          'Workers, queue depth, own position and share; with the scope admin, the share of every team and the job of every worker',
        response: { 200: PoolSchema },
      },
    },
    async (request) => {
      const teamId = teamOf(request);
      const admin = isAdmin(request);
      const [pool, queued] = await Promise.all([
        database.pool.overview(),
        database.jobs.list(teamId, { status: ['queued'], limit: OWN_JOBS }),
      ]);
      const places = await Promise.all(queued.data.map((job) => database.jobs.place(job)));
      const own = queued.data.flatMap(({ id }, i) => {
        const place = places[i];
        return place === undefined ? [] : [{ job_id: id, place: presentPlace(place) }];
      });
      const running = pool.teams.reduce((sum, team) => sum + team.runningTasks, 0);
      return {
        workers: pool.workers.map((worker) => presentWorker(worker, { teamId, admin })),
        classes: pool.classes.map((workerClass) => ({
          engine: workerClass.engine,
          class: workerClass.class,
          device_memory_bytes: workerClass.deviceMemoryBytes,
          workers: workerClass.workers,
          slots: workerClass.slots,
          running_tasks: workerClass.running,
          released_tasks: workerClass.released,
        })),
        queue: { jobs: pool.jobs, tasks: pool.tasks },
        own: own.sort((a, b) => a.place.position - b.place.position),
        teams: pool.teams
          .filter((team) => team.teamId === teamId || admin)
          .map((team) => ({
            team_id: team.teamId,
            weight: team.weight,
            share: running === 0 ? 0 : team.runningTasks / running,
            running_tasks: team.runningTasks,
            waiting_tasks: team.waitingTasks,
            queued_jobs: team.queuedJobs,
          })),
      };
    },
  );

  const history = new LRUCache<'hour', PoolMoment[]>({
    ...{ max: 1, ttl: HISTORY_MS },
    fetchMethod: () => database.pool.history(HISTORY_MINUTES),
  });
  app.get(
    '/pool/history',
    {
      config: { scope: 'jobs:read' },
      schema: {
        operationId: 'getPoolHistory',
        tags: ['pool'],
        summary: 'What ran and waited in the last hour',
        response: { 200: HistorySchema },
      },
    },
    async () => {
      const data = await history.forceFetch('hour');
      return { data: data.map(({ at, running, waiting }) => ({ at: at.toISOString(), running, waiting })) };
    },
  );
};
