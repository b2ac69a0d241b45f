import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { within } from '../../errors/within.js';
import type { RouteOptions } from '../deps.js';
import { VERSION } from '../../config/version.js';

const CHECK_MS = 3_000;

const State = Type.Union([Type.Literal('ok'), Type.Literal('failing')]);
const Readiness = Type.Object({
  status: Type.Union([Type.Literal('ok'), Type.Literal('degraded'), Type.Literal('failing')], {
    description: 'degraded: this process answers, and what needs a failing backend waits, or is answered with 503',
  }),
  checks: Type.Object({ postgres: State, queue: State, storage: State }),
});

export const healthRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  async function probe(name: string, part: { check(): Promise<void> }) {
    try {
      await within(part.check(), CHECK_MS);
      return 'ok' as const;
    } catch (error) {
      app.log.warn({ err: error }, `${name} is not ready`);
      return 'failing' as const;
    }
  }
  const look = () =>
    Promise.all([probe('postgres', deps.database), probe('queue', deps.queue), probe('storage', deps.storage)]);
  /** Nobody needs a key: however many ask, the backends are asked once at a time. */
  let underWay: ReturnType<typeof look> | null = null;

  app.get(
    '/healthz',
    {
      config: { scope: 'public' },
      schema: {
        operationId: 'getHealth',
        tags: ['service'],
        summary: 'Liveness: the process answers',
        security: [],
        response: { 200: Type.Object({ status: Type.Literal('ok'), version: Type.String() }) },
      },
    },
    async () => ({ status: 'ok' as const, version: VERSION }),
  );

  app.get(
    '/readyz',
    {
      config: { scope: 'public' },
      schema: {
        operationId: 'getReadiness',
        tags: ['service'],
        summary: 'Readiness: this process answers, which needs PostgreSQL; `degraded` while queue or storage do not',
        security: [],
        response: { 200: Readiness, 503: Readiness },
      },
    },
    async (_request, reply) => {
      underWay ??= look().finally(() => (underWay = null));
      const [postgres, queue, storage] = await underWay;
      // Every process has the same queue and storage: taking all of them away would end what goes on without.
      const ready = !deps.closing.aborted && postgres === 'ok';
      const whole = queue === 'ok' && storage === 'ok';
      return reply
        .code(ready ? 200 : 503)
        .header('Cache-Control', 'no-store')
        .send({ status: !ready ? 'failing' : whole ? 'ok' : 'degraded', checks: { postgres, queue, storage } });
    },
  );
};
