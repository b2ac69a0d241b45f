import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import type { JobView } from '../../src/api/jobs/schema.js';
import { codesOf } from '../../src/errors/classify.js';
import { InfrastructureError, InputError } from '../../src/errors/index.js';
import type { LayerRow } from '../../src/jobs/results.js';

interface Problem {
  title?: string;
  detail?: string;
  code?: string;
  errors?: { pointer: string; detail: string }[];
}

/** The service refused a call; `retryable` when the same call may work a moment later. */
export class ServiceError extends Error {
  readonly status: number;
  readonly problem: Problem;
  constructor(status: number, problem: Problem) {
    super(problem.detail ?? problem.title ?? `the service answered ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

export interface JobPage {
  data: JobView[];
  has_more: boolean;
  next: string | null;
}

/**
 * Calls as they are: none is made again, and what is not answered is an error. The client that people use is
 * src/client.
 */
export class ServiceClient {
  readonly url: string;
  readonly #key: string;

  constructor(url: string, key: string) {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
      throw new InputError('invalid_request', `the URL of the service must begin with http:// or https://, not ${url}`);
    this.url = url.replace(/\/+$/, '');
    this.#key = key;
  }

  /** Sends a file unless the service has its content already; returns the id of the upload. */
  async upload(path: string): Promise<string> {
    const hash = createHash('sha256');
    await pipeline(createReadStream(path), hash);
    const digest = hash.digest();
    const query = new URLSearchParams({ filename: basename(path) });
    const response = await this.#send(`/uploads?${query.toString()}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String((await stat(path)).size),
        'repr-digest': `sha-256=:${digest.toString('base64')}:`,
      },
      body: Readable.toWeb(createReadStream(path)) as ReadableStream<Uint8Array>,
      duplex: 'half',
    });
    return (await this.#read<{ id: string }>(response)).id;
  }

  async submit(spec: unknown, idempotencyKey?: string): Promise<JobView> {
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (idempotencyKey !== undefined) headers['idempotency-key'] = idempotencyKey;
    const response = await this.#send('/jobs', { method: 'POST', headers, body: JSON.stringify(spec) });
    return this.#read<JobView>(response);
  }

  /** The job, or null while it is as it was at `etag`; waits up to `waitSeconds` for a change. */
  async job(
    id: string,
    options: { etag?: string; waitSeconds?: number } = {},
  ): Promise<{ job: JobView; etag: string } | null> {
    const headers: Record<string, string> = {};
    if (options.etag !== undefined) headers['if-none-match'] = options.etag;
    if (options.waitSeconds !== undefined) headers['prefer'] = `wait=${options.waitSeconds}`;
    const response = await this.#send(`/jobs/${encodeURIComponent(id)}`, { headers });
    if (response.status === 304) return null;
    return { job: await this.#read<JobView>(response), etag: response.headers.get('etag') ?? '' };
  }

  async layers(id: string): Promise<LayerRow[]> {
    const response = await this.#send(`/jobs/${encodeURIComponent(id)}/layers`, {});
    return (await this.#read<{ data: LayerRow[] }>(response)).data;
  }

  async jobs(query: Record<string, string>): Promise<JobPage> {
    const response = await this.#send(`/jobs?${new URLSearchParams(query).toString()}`, {});
    return this.#read<JobPage>(response);
  }

  async act(id: string, action: 'cancel' | 'retry'): Promise<JobView> {
    const response = await this.#send(`/jobs/${encodeURIComponent(id)}/${action}`, { method: 'POST' });
    return this.#read<JobView>(response);
  }

  /** Any other call that takes and gives JSON. */
  async call<T>(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<T> {
    const json = { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    const response = await this.#send(path, { method, ...(body === undefined ? {} : json) });
    return this.#read<T>(response);
  }

  /** A call that has no answer. */
  async send(method: 'DELETE', path: string): Promise<void> {
    await (await this.#send(path, { method })).arrayBuffer();
  }

  async text(path: string): Promise<string> {
    return (await this.#send(path, {})).text();
  }

  /** Downloads to `path` and checks the content; nothing is left there when it fails. */
  async download(artifact: JobView['artifacts'][number], path: string): Promise<void> {
    const response = await this.#send(artifact.url, {});
    if (!response.body) throw new Error(`${artifact.name} came without content`);
    const temporary = `${path}.part`;
    const hash = createHash('sha256');
    try {
      const body = Readable.fromWeb(response.body as ReadableStream<Uint8Array>);
      body.on('data', (chunk: Uint8Array) => hash.update(chunk));
      await pipeline(body, createWriteStream(temporary));
      if (hash.digest('hex') !== artifact.sha256) throw new Error(`${artifact.name} was damaged on the way`);
      await rename(temporary, path);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async #send(path: string, init: RequestInit & { duplex?: 'half' }): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${this.#key}`);
    const response = await fetch(this.url + path, { ...init, headers }).catch((cause: unknown) => {
      throw this.#trouble(`cannot be reached${reasonOf(cause)}`, cause);
    });
    if (response.ok || response.status === 304) return response;
    const text = await response.text();
    let problem: Problem = {};
    try {
      problem = JSON.parse(text) as Problem;
    } catch {
      // Not from the service itself: a proxy in between.
    }
    throw new ServiceError(response.status, problem);
  }

  /** What the service sends is JSON; a page of a proxy, or of another program at this address, is not. */
  async #read<T>(response: Response): Promise<T> {
    const text = await response.text();
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      const type = response.headers.get('content-type') ?? 'nothing';
      throw this.#trouble(`does not answer as Sparank does (it sent ${type}): is that its URL?`, cause);
    }
  }

  #trouble(what: string, cause: unknown): InfrastructureError {
    return new InfrastructureError('unavailable', `the service at ${new URL(this.url).origin} ${what}`, { cause });
  }
}

/** The code that is deep in what `fetch` throws, whose own message is always the same. */
function reasonOf(error: unknown): string {
  for (const code of codesOf(error)) if (/^[A-Z][A-Z0-9_]+$/.test(code)) return ` (${code})`;
  return '';
}
