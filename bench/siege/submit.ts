import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobView } from '../../src/api/jobs/schema.js';
import { ServiceError } from '../../test/support/service-client.js';
import type { JobFiles } from '../support/files.js';
import { type Deployment, KEY } from './deployment.js';

const ANSWER_MS = 8000;
const PAUSE_MS = 150;
const PATIENCE_MS = 300_000;

/** Whether the same call may work a moment later: the service is away, or says so itself. */
const mayPass = (error: unknown) => !(error instanceof ServiceError) || error.status >= 500 || error.status === 409;

/** Tries until it works; a client that waits for an answer for too long asks again. */
export async function persist<T>(what: string, call: () => Promise<T>): Promise<T> {
  let last: unknown = null;
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(PAUSE_MS)) {
    const late = new AbortController();
    try {
      const slow = sleep(ANSWER_MS, undefined, { signal: late.signal }).then(() => {
        throw new Error('no answer');
      });
      slow.catch(() => undefined);
      return await Promise.race([call(), slow]);
    } catch (error) {
      last = error;
      if (!mayPass(error)) break;
    } finally {
      late.abort();
    }
  }
  throw new Error(`${what} does not work`, { cause: last });
}

export interface Submitter {
  /** Accepted for sure, with this key, exactly once. */
  submit(change?: Record<string, unknown>): Promise<{ id: string; key: string }>;
}

export async function openSubmitter({ client }: Deployment, files: JobFiles): Promise<Submitter> {
  const upload = async (path: string) => ({ upload: await persist('an upload', () => client.upload(path)) });
  const sources = { model: await upload(files.model), calibration: await upload(files.calibration) };
  return {
    async submit(change = {}) {
      const key = randomUUID();
      const spec = {
        ...sources,
        target: { parameter_ratio: 2 },
        effort: 'quick',
        method: { samples: 1000, max_iterations: 10, inputs: 'symmetric' },
        benchmark: { batch_sizes: [1] },
        ...change,
      };
      return { id: (await persist('a submission', () => client.submit(spec, key))).id, key };
    },
  };
}

export async function untilEnded({ client }: Deployment, id: string, seconds: number): Promise<JobView> {
  let job: JobView | undefined;
  for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline; await sleep(PAUSE_MS)) {
    job = (await persist(`reading ${id}`, () => client.job(id, { waitSeconds: 2 })))?.job;
    if (job && ['succeeded', 'failed', 'canceled'].includes(job.status)) return job;
  }
  throw new Error(`${id} does not end: ${JSON.stringify(job)}`);
}

/** The hash of what a client gets. */
export async function downloadedHash({ client }: Deployment, url: string): Promise<string> {
  return persist(`downloading ${url}`, async () => {
    const response = await fetch(client.url + url, { headers: { authorization: `Bearer ${KEY}` } });
    if (!response.ok) throw new ServiceError(response.status, {});
    return createHash('sha256')
      .update(Buffer.from(await response.arrayBuffer()))
      .digest('hex');
  });
}
