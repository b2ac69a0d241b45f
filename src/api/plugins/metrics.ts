import type { FastifyInstance } from 'fastify';
import { Histogram } from 'prom-client';
import { Type } from 'typebox';
import { within } from '../../errors/within.js';
import type { ApiDeps } from '../deps.js';
import { inOrder } from './in-order.js';
import { routeOf } from './route.js';
import { gauge, poolGauges, setStates } from './pool-gauges.js';

/** Seconds; polls take milliseconds, uploads minutes. */
const BUCKETS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
/** A storage that takes longer does not answer. */
const STORAGE_MS = 3_000;

/**
 * Requests by route (never by URL, whose ids would make a new series each), the state of the pool at the moment of
 * asking, and what this process has done besides.
 */
export function registerMetrics(app: FastifyInstance, { database, queue, storage, logger, metrics }: ApiDeps): void {
  const { registry } = metrics;
  const duration = new Histogram({
    name: 'sparank_http_request_duration_seconds',
    help: 'Time from the request to the end of its answer',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: BUCKETS,
    registers: [registry],
  });
  app.addHook(
    'onResponse',
    inOrder((request, reply) => {
      const route = routeOf(request);
      duration.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000);
    }),
  );
  const messages = gauge(registry, 'sparank_queue_messages', 'Task messages in the queue', ['state']);
  const answers = gauge(
    registry,
    'sparank_backend_up',
    'Whether PostgreSQL, queue and storage answered the last question',
    ['backend'],
  );
  const pool = poolGauges(registry, database);
  /** As they were when the database was asked last. */
  let classes: string[] = [];
  const readPool = async () => void (classes = await pool.read());
  const readQueue = async () => setStates(messages, await queue.depth(classes));

  /** What is known is worth having just when a backend is down. */
  const attempt = async (backend: string, read: () => Promise<void>, forget: () => void = () => undefined) => {
    try {
      await read();
      answers.set({ backend }, 1);
    } catch (error) {
      answers.set({ backend }, 0);
      forget();
      logger.warn({ err: error }, `metrics without ${backend}`);
    }
  };

  async function look(): Promise<string> {
    await Promise.all([
      attempt('postgres', readPool, () => pool.reset()),
      attempt('queue', readQueue, () => messages.reset()),
      attempt('storage', () => within(storage.check(), STORAGE_MS)),
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
