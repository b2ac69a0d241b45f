import type { IncomingMessage } from 'node:http';
import type { FastifyBaseLogger } from 'fastify';
import type { Config } from '../config/index.js';
import type { ClaimedDelivery } from '../database/records.js';
import type { Database } from '../database/repositories.js';
import { SparankError } from '../errors/index.js';
import { retryDelaySeconds, verdictOf } from '../jobs/webhook.js';
import type { Metrics } from '../observability/metrics.js';
import { callOutbound, checkOutboundUrl, type OutboundOptions } from '../outbound/guarded-request.js';
import { startLoop } from './loop.js';
import { signedHeaders } from '../outbound/webhook-signature.js';

const POLL_MS = 2_000;
/** One attempt, from the first packet to the beginning of the answer's body. */
const ATTEMPT_MS = 20_000;
/** Longer than an attempt can take: a message is not claimed a second time while it is on its way. */
const LEASE_SECONDS = 60;
const AT_ONCE = 32;
const SNIPPET_BYTES = 500;

export interface DelivererDeps {
  database: Pick<Database, 'webhooks' | 'notifications'>;
  config: Pick<Config, 'URL_ALLOWED_HOSTS'>;
  logger: FastifyBaseLogger;
  metrics: Pick<Metrics, 'webhookAttempt'>;
  /** What an endpoint is sent; the same text at every attempt. */
  body: (claimed: ClaimedDelivery) => string;
  /** How names are resolved. */
  resolve?: OutboundOptions['resolve'];
  attemptMs?: number;
}

/**
 * Delivers the messages that are due, in every API process: who claims a message is decided by PostgreSQL. One whose
 * process dies is claimed again when its lease is over.
 */
export function startDeliverer(deps: DelivererDeps): { close(): Promise<void> } {
  const { database, logger } = deps;
  const stopping = new AbortController();
  const underWay = new Set<Promise<void>>();

  const turn = async () => {
    const room = AT_ONCE - underWay.size;
    if (room <= 0) return;
    for (const claimed of await database.webhooks.claim(room, LEASE_SECONDS)) {
      const attempt = deliver(deps, claimed, stopping.signal)
        .catch((error: unknown) =>
          logger.warn({ err: error, webhook_id: claimed.id }, 'an attempt was not written down'),
        )
        .finally(() => {
          underWay.delete(attempt);
          // There is room again, and perhaps something that waited for it.
          loop.wake();
        });
      underWay.add(attempt);
    }
  };
  const loop = startLoop('webhooks', turn, { intervalMs: POLL_MS, logger });
  const unsubscribe = database.notifications.subscribe('webhooks', () => loop.wake());
  return {
    async close() {
      unsubscribe();
      await loop.close();
      // Attempts under way end now, unrecorded: another process sends them again when their lease is over.
      stopping.abort();
      await Promise.all(underWay);
    },
  };
}

/** One attempt and its entry in the log. */
export async function deliver(deps: DelivererDeps, claimed: ClaimedDelivery, stopping: AbortSignal): Promise<void> {
  const { database, logger, metrics } = deps;
  const started = performance.now();
  const answer = await attempt(deps, claimed, stopping);
  if (stopping.aborted && answer.status === null) return;
  const durationMs = Math.round(performance.now() - started);
  const { status, error, snippet } = answer;
  const verdict = verdictOf(status);
  const retryInSeconds =
    verdict === 'retry' ? retryDelaySeconds(claimed.tries + 1, Math.random(), answer.retryAfter) : null;
  const kept = await database.webhooks.record(
    claimed,
    { status, error, durationMs, snippet },
    { verdict, retryInSeconds },
  );
  const outcome = verdict === 'retry' && retryInSeconds === null ? 'given_up' : verdict;
  metrics.webhookAttempt(outcome, durationMs / 1000);
  logger[verdict === 'delivered' ? 'info' : 'warn'](
    { webhook_id: claimed.id, job_id: claimed.jobId, status, err: error, duration_ms: durationMs, outcome, kept },
    'webhook attempt',
  );
}

interface Answer {
  status: number | null;
  error: string | null;
  snippet: string | null;
  /** Seconds, as the endpoint asked for; 0 when it did not. */
  retryAfter: number;
}

const unanswered = (error: string): Answer => ({ status: null, error, snippet: null, retryAfter: 0 });

async function attempt(deps: DelivererDeps, claimed: ClaimedDelivery, stopping: AbortSignal): Promise<Answer> {
  if (claimed.secrets.length === 0) return unanswered('the team has no signing secret');
  const attemptMs = deps.attemptMs ?? ATTEMPT_MS;
  const late = AbortSignal.timeout(attemptMs);
  const body = deps.body(claimed);
  const headers = {
    'content-type': 'application/json',
    ...signedHeaders(claimed.id, new Date(), body, claimed.secrets),
  };
  const allowedHosts = deps.config.URL_ALLOWED_HOSTS;
  try {
    const url = checkOutboundUrl(claimed.url, allowedHosts);
    const options = { allowedHosts, signal: AbortSignal.any([late, stopping]), silenceMs: attemptMs };
    const response = await callOutbound(
      url,
      { method: 'POST', headers, body },
      deps.resolve === undefined ? options : { ...options, resolve: deps.resolve },
    );
    return {
      status: response.statusCode ?? null,
      error: null,
      snippet: await beginning(response),
      retryAfter: readRetryAfter(response.headers['retry-after']),
    };
  } catch (error) {
    if (late.aborted) return unanswered(`no answer within ${attemptMs / 1000} s`);
    return unanswered(error instanceof SparankError ? error.message : 'the endpoint could not be called');
  }
}

/** The first characters of a body, as text without control characters; the connection is given up after them. */
async function beginning(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= SNIPPET_BYTES) break;
    }
  } catch {
    // The status is what counts; what came of the body is kept.
  } finally {
    response.destroy();
  }
  const text = Buffer.concat(chunks).subarray(0, SNIPPET_BYTES).toString('utf8');
  return text.replaceAll(/[\p{Cc}\p{Co}\p{Cn}]+/gu, ' ').trim();
}

/** Seconds or a date, RFC 9110; 0 for anything else. */
function readRetryAfter(header: string | undefined): number {
  if (header === undefined) return 0;
  const seconds = /^\d{1,9}$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : 0;
}
