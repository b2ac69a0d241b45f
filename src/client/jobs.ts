import { randomKey, sha256 } from './digest.js';
import { download, type DownloadOptions } from './download.js';
import { ClientError, DamagedError } from './errors.js';
import { events, type EventOptions } from './events.js';
import { Job } from './job.js';
import type { Transport } from './transport.js';
import type { Artifact, JobEvent, JobSpec, JobView, Layer, ListOptions, Page } from './types.js';
import { wait, type WaitOptions } from './wait.js';

export interface SubmitOptions {
  /** The same key makes the same job once; default: a new one, under which the call is tried again. */
  idempotencyKey?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface LayerOptions {
  /** Of several targets. */
  point?: number;
  signal?: AbortSignal | undefined;
  patienceSeconds?: number;
}

export interface Estimate {
  spec: JobView['spec'];
  estimate: unknown;
}

const pathOf = (id: string, rest = '') => `/jobs/${encodeURIComponent(id)}${rest}`;
const JSON_TYPE = { 'content-type': 'application/json' };

function queryOf({ limit, after, status, labels = {}, created_after }: ListOptions): string {
  const query = new URLSearchParams();
  if (limit !== undefined) query.set('limit', String(limit));
  if (after !== undefined) query.set('after', after);
  if (status !== undefined) query.set('status', Array.isArray(status) ? status.join(',') : status);
  if (created_after !== undefined) query.set('created_after', created_after);
  for (const [key, value] of Object.entries(labels)) query.set(`label.${key}`, value);
  return query.toString();
}

/** The jobs of the key's team. */
export class Jobs {
  readonly #transport: Transport;
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Answers lost on the way are no second job: the call is made again under the same key. */
  async submit(spec: JobSpec, { idempotencyKey = randomKey(), signal }: SubmitOptions = {}): Promise<Job> {
    const view = await this.#transport.json<JobView>('/jobs', {
      method: 'POST',
      headers: { ...JSON_TYPE, 'idempotency-key': idempotencyKey },
      body: () => JSON.stringify(spec),
      signal,
      safe: true,
    });
    return new Job(this, view);
  }

  /** Checks and estimates; nothing is stored. */
  async dryRun(spec: JobSpec, signal?: AbortSignal): Promise<Estimate> {
    const body = () => JSON.stringify(spec);
    return this.#transport.json('/jobs?dry_run=true', { method: 'POST', headers: JSON_TYPE, body, signal, safe: true });
  }

  async get(id: string, signal?: AbortSignal): Promise<Job> {
    return new Job(this, await this.view(id, signal));
  }

  /** What the service says of a job. */
  async view(id: string, signal?: AbortSignal): Promise<JobView> {
    return this.#transport.json(pathOf(id), { signal });
  }

  /** One page, newest first. */
  async page(options: ListOptions = {}): Promise<Page<JobView>> {
    return this.#transport.json(`/jobs?${queryOf(options)}`, { signal: options.signal });
  }

  /** All of them, newest first; pages are fetched when they are needed. */
  async *list(options: ListOptions = {}): AsyncGenerator<Job> {
    for (let after = options.after; ;) {
      const page = await this.page({ ...options, ...(after === undefined ? {} : { after }) });
      for (const view of page.data) yield new Job(this, view);
      if (page.next === null) return;
      after = page.next;
    }
  }

  /** Follows a job to its end, whatever that is. */
  wait(id: string, options: WaitOptions = {}): Promise<JobView> {
    return wait(this.#transport, id, options);
  }

  /** What happens, as it happens, until the job has ended. */
  events(id: string, options: EventOptions = {}): AsyncGenerator<JobEvent> {
    return events(this.#transport, id, options);
  }

  async layers(id: string, { point, ...call }: LayerOptions = {}): Promise<Layer[]> {
    const query = point === undefined ? '' : `?point=${String(point)}`;
    return (await this.#transport.json<{ data: Layer[] }>(pathOf(id, `/layers${query}`), call)).data;
  }

  async cancel(id: string, signal?: AbortSignal): Promise<JobView> {
    return this.#transport.json(pathOf(id, '/cancel'), { method: 'POST', signal, safe: true });
  }

  /** Runs a failed or canceled job again. */
  async retry(id: string, signal?: AbortSignal): Promise<JobView> {
    return this.#transport.json(pathOf(id, '/retry'), { method: 'POST', signal });
  }

  async remove(id: string, signal?: AbortSignal): Promise<void> {
    await this.#transport.send(pathOf(id), { method: 'DELETE', signal });
  }

  /** The bytes of an artifact as they come; whoever reads them compares the hash. */
  stream(artifact: Artifact, options: DownloadOptions = {}): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    return download(this.#transport, artifact, options);
  }

  /** An artifact in memory, compared with its hash where the platform can. */
  async content(artifact: Artifact, options: DownloadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const content = new Uint8Array(artifact.bytes);
    let at = 0;
    for await (const chunk of this.stream(artifact, options)) {
      content.set(chunk, at);
      at += chunk.length;
    }
    const hash = await sha256(content);
    if (hash !== undefined && hash !== artifact.sha256)
      throw new DamagedError(`${artifact.name} was damaged on the way`);
    return content;
  }

  /** @throws ClientError, in the platform that has no files */
  save(artifact: Artifact, _path: string, _options: DownloadOptions = {}): Promise<void> {
    return Promise.reject(new ClientError(`${artifact.name} cannot be written to a file here: use content()`));
  }
}
