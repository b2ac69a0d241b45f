import type { FastifyInstance } from 'fastify';
import { Gauge, Histogram, Registry } from 'prom-client';
import type { ApiDeps } from '../deps.js';

/** Seconds; polls take milliseconds, uploads minutes. */
const BUCKETS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** Requests by route (never by URL, whose ids would make a new series each) and the state of the pool at the moment of asking. */
export function registerMetrics(app: FastifyInstance, { database, queue, logger }: ApiDeps): Registry {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
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
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames: ['state'] as const, registers });
  const messages = gauge('sparank_queue_messages', 'Task messages in the queue');
  const tasks = gauge('sparank_tasks', 'Tasks that are not finished');
  const jobs = gauge('sparank_jobs', 'Jobs that are not finished');
  const workers = gauge('sparank_workers', 'Workers seen in the last minute');

  const set = (target: Gauge<'state'>, values: Record<string, number>) => {
    for (const [state, value] of Object.entries(values)) target.set({ state }, value);
  };
  async function refresh(): Promise<void> {
    const [depth, pool] = await Promise.all([queue.depth(), database.pool.overview()]);
    const busy = pool.workers.filter((worker) => worker.busy !== null).length;
    set(messages, depth);
    set(tasks, pool.tasks);
    set(jobs, pool.jobs);
    set(workers, { busy, idle: pool.workers.length - busy });
  }
  app.get(
    '/metrics',
    {
      config: { scope: 'public' },
      schema: { tags: ['service'], summary: 'Prometheus metrics', security: [], produces: ['text/plain'] },
    },
    async (_request, reply) => {
      // The request durations are worth having just when a backend is down.
      await refresh().catch((error: unknown) => {
        for (const one of [messages, tasks, jobs, workers]) one.reset();
        logger.warn({ err: error }, 'metrics without the state of the pool');
      });
      return reply.type(registry.contentType).send(await registry.metrics());
    },
  );
  return registry;
}
