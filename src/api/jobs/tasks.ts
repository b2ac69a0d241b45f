import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type, type Static } from 'typebox';
import type { TaskRecord } from '../../database/records.js';
import { TASK_KINDS, TASK_STATES } from '../../jobs/tasks.js';
import type { RouteOptions } from '../deps.js';
import { teamOf } from '../plugins/auth.js';
import { notFound } from '../problem.js';
import { Nullable, Time } from '../schemas.js';

const TaskSchema = Type.Object(
  {
    id: Type.String(),
    kind: Type.Enum([...TASK_KINDS]),
    layer: Nullable(Type.Integer({ description: 'index of the layer that it solves' })),
    point: Nullable(Type.Integer({ description: 'number of the point that it assembles' })),
    state: Type.Enum([...TASK_STATES]),
    attempt: Type.Integer({ description: 'counted from 1; times and worker are those of this one' }),
    failures: Type.Integer({ description: 'attempts that failed' }),
    hand_backs: Type.Integer({ description: 'attempts that workers gave back for faults of their own' }),
    worker_id: Nullable(Type.String()),
    created_at: Time,
    started_at: Nullable(Time),
    finished_at: Nullable(Time),
    device_seconds: Type.Number({ description: 'of all attempts' }),
    peak_bytes: Nullable(Type.Integer({ description: 'the most memory that the compute process held' })),
    error: Nullable(Type.String({ description: 'code of what ended it' })),
  },
  { $id: 'Task' },
);

const NodeSchema = Type.Object(
  {
    name: Type.String(),
    op: Type.String(),
    inputs: Type.Array(Type.Integer(), { description: 'indices of the nodes whose outputs it takes' }),
    layer: Nullable(Type.Integer({ description: 'index of its layer, where it has weights' })),
  },
  { $id: 'NetworkNode' },
);

const present = (task: TaskRecord): Static<typeof TaskSchema> => ({
  id: task.id,
  kind: task.kind,
  layer: task.layer,
  point: task.point,
  state: task.state,
  attempt: task.attempt,
  failures: task.failures,
  hand_backs: task.handBacks,
  worker_id: task.workerId,
  created_at: task.createdAt.toISOString(),
  started_at: task.startedAt?.toISOString() ?? null,
  finished_at: task.finishedAt?.toISOString() ?? null,
  device_seconds: task.deviceSeconds,
  peak_bytes: task.peakBytes,
  error: task.error,
});

const params = Type.Object({ id: Type.String() });

/** What a job is made of: its tasks on the workers, and the graph of its network. */
export const jobTasks: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const { tasks } = deps.database;

  app.get(
    '/jobs/:id/tasks',
    {
      config: { scope: 'jobs:read', doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'listTasks',
        tags: ['jobs'],
        summary: 'The tasks of the job: where each ran, when, and at which attempt',
        params,
        response: { 200: Type.Object({ data: Type.Array(TaskSchema) }) },
      },
    },
    async (request) => {
      const list = await tasks.list(teamOf(request), request.params.id);
      if (list === null) throw notFound('job');
      return { data: list.map(present) };
    },
  );

  app.get(
    '/jobs/:id/network',
    {
      config: { scope: 'jobs:read', doc: { errors: ['not_found'] } },
      schema: {
        operationId: 'getNetwork',
        tags: ['jobs'],
        summary: 'The graph of the network as it was sent, normalizations folded; once it is inspected',
        params,
        response: { 200: Type.Object({ nodes: Type.Array(NodeSchema) }) },
      },
    },
    async (request) => {
      const nodes = await tasks.network(teamOf(request), request.params.id);
      if (nodes === null) throw notFound('graph: the network is not inspected yet, or too large to draw');
      return { nodes };
    },
  );
};
