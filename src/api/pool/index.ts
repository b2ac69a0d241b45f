import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { isAdmin } from '../teams/access.js';
import { PlaceSchema, presentPlace } from '../jobs/schema.js';
import { failures, Time } from '../schemas.js';

const Count = Type.Integer();
/** What a job may ask for, beside the engine. */
const Offer = {
  class: Type.Union([Type.String(), Type.Null()]),
  device_memory_bytes: Type.Integer({ description: 'of the accelerator; 0 without one' }),
};
const PoolSchema = Type.Object(
  {
    workers: Type.Array(
      Type.Object({
        id: Type.String(),
        engine: Type.String(),
        device: Type.String(),
        threads: Count,
        slots: Type.Integer({ description: 'tasks it can run at once' }),
        ...Offer,
        busy_with: Type.Union([
          Type.Object({
            job_id: Type.Union([Type.String(), Type.Null()], { description: "null for another team's job" }),
            task: Type.String(),
            layer: Type.Union([Type.Integer(), Type.Null()]),
          }),
          Type.Null(),
        ]),
        started_at: Time,
        last_seen_at: Time,
      }),
    ),
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

/** Places are shown for so many of the team's queued jobs. */
const OWN_JOBS = 20;

export const poolRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { database } = deps;
  app.get(
    '/pool',
    {
      config: { scope: 'jobs:read' },
      schema: {
        tags: ['pool'],
        summary: 'Workers, queue depth, own position and share; with the scope admin, the share of every team',
        response: { 200: PoolSchema, ...failures },
      },
    },
    async (request) => {
      const teamId = teamOf(request);
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
        workers: pool.workers.map((worker) => ({
          id: worker.id,
          engine: worker.engine,
          device: worker.device,
          threads: worker.threads,
          slots: worker.slots,
          class: worker.class,
          device_memory_bytes: worker.deviceMemoryBytes,
          busy_with: worker.busy && {
            job_id: worker.busy.teamId === teamId ? worker.busy.jobId : null,
            task: worker.busy.kind,
            layer: worker.busy.layer,
          },
          started_at: worker.startedAt.toISOString(),
          last_seen_at: worker.lastSeenAt.toISOString(),
        })),
        classes: pool.lanes.map((lane) => ({
          engine: lane.engine,
          class: lane.class,
          device_memory_bytes: lane.deviceMemoryBytes,
          workers: lane.workers,
          slots: lane.slots,
          running_tasks: lane.running,
          released_tasks: lane.released,
        })),
        queue: { jobs: pool.jobs, tasks: pool.tasks },
        own: own.sort((a, b) => a.place.position - b.place.position),
        teams: pool.teams
          .filter((team) => team.teamId === teamId || isAdmin(request))
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
};
