import createClient, { type Client } from 'openapi-fetch';
import { Jobs, type SubmitOptions } from './jobs.js';
import type { Job } from './job.js';
import type { paths } from './openapi.js';
import { Transport, type TransportOptions } from './transport.js';
import type { JobOptions, JobSpec } from './types.js';
import { fileFrom, Uploads, type Content } from './uploads.js';

/** A file: its content, a Blob or File, what is uploaded already, or a URL that the service fetches. */
export type Source = Content | { upload: string } | { url: string; sha256: string };

export interface CompressOptions<S = Source> extends JobOptions, SubmitOptions {
  /** Samples, with labels where there are some, to measure with. */
  evaluation?: S | undefined;
}

const isNamed = (source: object): source is { upload: string } | { url: string; sha256: string } =>
  'upload' in source || 'url' in source;

/** A client of one service with one key. */
export class Sparank {
  readonly jobs: Jobs;
  readonly uploads: Uploads;
  /** Every call of the service, with its types. Errors are thrown. */
  readonly api: Client<paths>;
  readonly #transport: Transport;

  constructor(options: TransportOptions, make: (transport: Transport) => Jobs = (transport) => new Jobs(transport)) {
    this.#transport = new Transport(options);
    this.jobs = make(this.#transport);
    this.uploads = new Uploads(this.#transport);
    this.api = createClient<paths>({ baseUrl: this.#transport.url, fetch: this.#transport.fetch });
  }

  get url(): string {
    return this.#transport.url;
  }

  /** Sends the files and submits the job; `wait()` of what comes back follows it. */
  async compress(
    model: Source,
    calibration: Source,
    { evaluation, idempotencyKey, signal, ...rest }: CompressOptions,
  ): Promise<Job> {
    const named = async (source: Source, filename: string) => {
      if (isNamed(source)) return source;
      return { upload: (await this.uploads.send(await fileFrom(source, filename), signal)).id };
    };
    const spec: JobSpec = {
      ...rest,
      model: await named(model, 'model.onnx'),
      calibration: await named(calibration, 'calibration.npz'),
      ...(evaluation === undefined ? {} : { evaluation: await named(evaluation, 'evaluation.npz') }),
    };
    return this.jobs.submit(spec, { idempotencyKey, signal });
  }
}
