import { ClientError, JobEndedError } from './errors.js';
import type { DownloadOptions } from './download.js';
import type { EventOptions } from './events.js';
import type { Jobs, LayerOptions } from './jobs.js';
import type { Artifact, JobEvent, JobView, Layer } from './types.js';
import { hasEnded, type WaitOptions } from './wait.js';

/** A job, as it was when it was last looked at. */
export class Job {
  readonly #jobs: Jobs;
  #view: JobView;
  constructor(jobs: Jobs, view: JobView) {
    this.#jobs = jobs;
    this.#view = view;
  }

  get id(): string {
    return this.#view.id;
  }
  get status(): JobView['status'] {
    return this.#view.status;
  }
  /** Everything that the service says of it. */
  get view(): JobView {
    return this.#view;
  }
  get ended(): boolean {
    return hasEnded(this.#view);
  }
  /** Whether some point meets its target and every constraint; null before the end. */
  get passed(): boolean | null {
    if (!this.ended) return null;
    return this.#view.points.some(({ verdict }) => verdict?.passed === true);
  }
  get artifacts(): Artifact[] {
    return this.#view.artifacts;
  }

  async refresh(signal?: AbortSignal): Promise<this> {
    this.#view = await this.#jobs.view(this.id, signal);
    return this;
  }

  /**
   * Follows the job to its end.
   * @throws JobEndedError when there is no result
   */
  async wait(options: WaitOptions = {}): Promise<this> {
    this.#view = await this.#jobs.wait(this.id, options);
    if (this.status !== 'succeeded') throw new JobEndedError(this.id, this.status, this.#view.error);
    return this;
  }

  events(options: EventOptions = {}): AsyncGenerator<JobEvent> {
    return this.#jobs.events(this.id, options);
  }

  /** What happened to every layer, and why; `point` of several targets. */
  layers(options: LayerOptions = {}): Promise<Layer[]> {
    return this.#jobs.layers(this.id, options);
  }

  async cancel(signal?: AbortSignal): Promise<this> {
    this.#view = await this.#jobs.cancel(this.id, signal);
    return this;
  }

  /** Runs it again, when it has failed or was canceled. */
  async retry(signal?: AbortSignal): Promise<this> {
    this.#view = await this.#jobs.retry(this.id, signal);
    return this;
  }

  /** An artifact in memory. */
  async content(name: string, options: DownloadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#jobs.content(await this.#named(name), options);
  }

  /** The numbers of the job, as report.json has them. */
  async report(signal?: AbortSignal): Promise<unknown> {
    return JSON.parse(new TextDecoder().decode(await this.content('report.json', { signal })));
  }

  /** Into a file, resumed where it broke. Where there are files only. */
  async save(name: string, path: string, options: DownloadOptions = {}): Promise<void> {
    await this.#jobs.save(await this.#named(name), path, options);
  }

  async #named(name: string): Promise<Artifact> {
    // The answer to a submission is older than what the job has made.
    if (!this.artifacts.some((artifact) => artifact.name === name)) await this.refresh();
    const found = this.artifacts.find((artifact) => artifact.name === name);
    if (found !== undefined) return found;
    const there = this.artifacts.map((artifact) => artifact.name).join(', ');
    throw new ClientError(`${this.id} (${this.status}) has no artifact ${name}; it has ${there || 'none'}`);
  }
}
