import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { fastifySSE } from '@fastify/sse';
import Fastify, { type FastifyInstance } from 'fastify';
import { InputError } from '../errors/index.js';
import { ANSWER_SECONDS } from '../jobs/check-time.js';
import { openScratch } from '../storage/scratch.js';
import { NO_TELEMETRY } from '../observability/telemetry.js';
import { VERSION } from '../config/version.js';
import { adminAudit } from './admin/audit.js';
import { adminJobs } from './admin/jobs.js';
import { adminWorkers } from './admin/workers.js';
import { adminRoutes } from './admin/index.js';
import { AtOnce } from './at-once.js';
import { refuseEncoded } from './content-encoding.js';
import { answerClientError } from './client-error.js';
import type { ApiDeps, RouteDeps } from './deps.js';
import { healthRoutes } from './health/index.js';
import { jobRoutes } from './jobs/index.js';
import { registerJsonBody } from './json-body.js';
import { registerCompression } from './plugins/compression.js';
import { registerCrossOrigin } from './plugins/cross-origin.js';
import { registerAuth } from './plugins/auth.js';
import { openKeyLookup } from './plugins/key-lookup.js';
import { registerMetrics } from './plugins/metrics.js';
import { registerOpenApi } from './openapi/index.js';
import { registerRateLimit } from './plugins/rate-limit.js';
import { poolRoutes } from './pool/index.js';
import { inOrder } from './plugins/in-order.js';
import { logRequest, QuietLogController, registerRequestLog } from './plugins/request-log.js';
import { registerSecurityHeaders } from './plugins/security-headers.js';
import { registerTracing } from './plugins/tracing.js';
import { sendProblem } from './problem.js';
import { sessionRoutes } from './session/index.js';
import { checkStorable } from '../errors/storable.js';
import { teamRoutes } from './teams/index.js';
import { uploadRoutes } from './uploads/index.js';
import { usageRoutes } from './usage/index.js';
import { webRoutes } from './web/index.js';
import { webhookRoutes } from './webhooks/index.js';
import { serializerCompiler, validatorCompiler } from './validation.js';

/** A socket on which nothing moves; nothing does while a submission is checked, or `Prefer: wait` waits. */
const IDLE_MS = ANSWER_SECONDS * 1000;
/** Receiving one request, the largest upload over a slow line included. */
const REQUEST_MS = 6 * 3600_000;
const HEARTBEAT_MS = 15_000;
const MAX_PARAM_LENGTH = 300;
const UPLOAD_RETRY_SECONDS = 10;
const STREAM_RETRY_SECONDS = 30;

const ID = /^[\w.-]{1,64}$/;

/** The whole HTTP interface as a plugin tree; it does not listen. */
export async function buildApp(deps: ApiDeps): Promise<FastifyInstance> {
  const closing = new AbortController();
  const scratch = await openScratch(deps.config.DATA_DIR);
  const app: FastifyInstance = Fastify({
    loggerInstance: deps.logger,
    logController: new QuietLogController({ requestIdLogLabel: 'request_id' }),
    bodyLimit: deps.config.MAX_BODY_BYTES,
    connectionTimeout: IDLE_MS,
    trustProxy: deps.config.TRUST_PROXY === '' ? false : deps.config.TRUST_PROXY,
    requestTimeout: REQUEST_MS,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    forceCloseConnections: 'idle',
    genReqId: ({ headers }) => {
      const given = headers['x-request-id'];
      return typeof given === 'string' && ID.test(given) ? given : randomUUID();
    },
    // A URL that cannot be decoded, before any route is found.
    frameworkErrors: (error, request, reply) => {
      sendProblem(error, request, reply);
      logRequest(request, reply);
    },
    clientErrorHandler: answerClientError,
  });
  // JSON is the one body that is parsed; the route groups add what else they take.
  app.removeContentTypeParser('text/plain');
  registerJsonBody(app);
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler(deps.logger));
  app.setErrorHandler(sendProblem);
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      new InputError('not_found', `there is no ${request.method} ${request.url.split('?')[0] ?? ''}`),
      request,
      reply,
    ),
  );
  app.addHook(
    'onRequest',
    inOrder((request, reply) => {
      reply.header('X-Request-Id', request.id);
      refuseEncoded(request);
    }),
  );
  app.addHook(
    'preValidation',
    inOrder(({ params, query, body }) => {
      checkStorable(params, '#path');
      checkStorable(query, '#query');
      // The body of an upload is a stream.
      if (!(body instanceof Readable)) checkStorable(body);
    }),
  );
  // Waits and event streams end here; otherwise closing would wait for them.
  app.addHook('preClose', async () => closing.abort());
  app.addHook('onClose', () => scratch.remove());

  await registerCrossOrigin(app, deps.config);
  await registerCompression(app);
  registerRequestLog(app);
  registerTracing(app, deps.telemetry ?? NO_TELEMETRY);
  const keyLookup = await openKeyLookup(app, deps.config, deps.database.keys);
  registerAuth(app, deps.database.keys, keyLookup);
  registerSecurityHeaders(app);
  await app.register(fastifySSE, { heartbeatInterval: HEARTBEAT_MS });
  await registerOpenApi(app, VERSION);
  registerMetrics(app, deps);
  await registerRateLimit(app, deps.config);

  const incoming = new AtOnce(
    deps.config.UPLOADS_PER_TEAM,
    { setting: 'UPLOADS_PER_TEAM', what: 'requests of the team bring files at this moment; wait for some of them' },
    UPLOAD_RETRY_SECONDS,
  );
  const streams = new AtOnce(
    deps.config.STREAMS_PER_KEY,
    { setting: 'STREAMS_PER_KEY', what: 'event streams of the key are open; close some' },
    STREAM_RETRY_SECONDS,
  );
  const own = { closing: closing.signal, scratch: scratch.path, keyLookup, incoming, streams };
  const options = { deps: { ...deps, ...own } satisfies RouteDeps };
  await app.register(healthRoutes, options);
  await app.register(uploadRoutes, options);
  await app.register(jobRoutes, options);
  await app.register(poolRoutes, options);
  await app.register(teamRoutes, options);
  await app.register(usageRoutes, options);
  await app.register(webhookRoutes, options);
  for (const routes of [adminJobs, adminWorkers, adminAudit]) await app.register(routes, options);
  await app.register(adminRoutes, options);
  await app.register(sessionRoutes, { ...options, version: VERSION });
  await app.register(webRoutes);
  return app;
}
