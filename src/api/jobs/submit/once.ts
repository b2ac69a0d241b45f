import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { InputError } from '../../../errors/index.js';
import type { JobRecord } from '../../../database/records.js';
import type { RouteDeps } from '../../deps.js';
import { viewJob } from '../read.js';
import type { JobView } from '../schema.js';

const ACCEPTED = 202;
const MAX_KEY_LENGTH = 255;
/** Far below the time after which a silent request is taken to be dead. */
const HOLD_MS = 4_000;

export interface Answer {
  view: JobView;
  replayed: boolean;
}

/** The same value gives the same text, in whatever order its fields were sent. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, canonical(item)]));
}

export const hashBody = (body: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify(canonical(body)))
    .digest('hex');

export function readIdempotencyKey(request: FastifyRequest): string | null {
  const key = request.headers['idempotency-key']?.toString();
  if (key === undefined) return null;
  if (key.length > 0 && key.length <= MAX_KEY_LENGTH) return key;
  const detail = `must have 1 to ${MAX_KEY_LENGTH} characters`;
  throw new InputError('invalid_request', `Idempotency-Key ${detail}`, {
    faults: [{ pointer: '#header/idempotency-key', detail }],
  });
}

/** Makes a job at most once per key, whatever dies in between. */
export async function once(
  deps: RouteDeps,
  request: FastifyRequest,
  { teamId, key, bodyHash }: { teamId: string; key: string; bodyHash: string },
  make: (token: string) => Promise<JobRecord>,
): Promise<Answer> {
  const { idempotency, jobs } = deps.database;
  const start = await idempotency.begin(teamId, key, bodyHash);
  switch (start.state) {
    case 'replay':
      return { view: start.response as JobView, replayed: true };
    case 'in_flight':
      throw new InputError('idempotency_in_flight', 'the first request with this key is not answered yet; try again');
    case 'mismatch':
      throw new InputError('idempotency_mismatch', 'this key was used with another body; use a new one');
    case 'created':
    case 'started': {
      const job = await obtain();
      const view = await viewJob(deps.database, job);
      // Not stored: the next request with this key finds the job by itself.
      await idempotency
        .finish(teamId, key, start.token, { statusCode: ACCEPTED, response: view })
        .catch((error: unknown) => {
          request.log.warn({ err: error }, 'the answer for an idempotency key was not stored');
        });
      return { view, replayed: start.state === 'created' };
    }
  }

  async function obtain(): Promise<JobRecord> {
    if (start.state === 'created') {
      const job = await jobs.get(teamId, start.jobId);
      if (job === null) throw new InputError('conflict', 'the job of this idempotency key was deleted');
      return job;
    }
    const token = 'token' in start ? start.token : '';
    const hold = setInterval(() => void idempotency.hold(teamId, key, token).catch(() => undefined), HOLD_MS);
    try {
      return await make(token);
    } catch (error) {
      await idempotency.abandon(teamId, key, token).catch(() => undefined);
      throw error;
    } finally {
      clearInterval(hold);
    }
  }
}
