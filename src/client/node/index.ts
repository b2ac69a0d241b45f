import type { DownloadOptions } from '../download.js';
import type { Job } from '../job.js';
import { Jobs } from '../jobs.js';
import { Sparank as Base, type CompressOptions as Options, type Source as AnySource } from '../sparank.js';
import type { TransportOptions } from '../transport.js';
import type { Artifact } from '../types.js';
import { fileAt, saveTo } from './files.js';

/** The client for Node: as the other, and a model or samples may be the path of a file, a download may go to one. */
export * from '../index.js';

/** A string is the path of a file. */
export type Source = AnySource | string;
export type CompressOptions = Options<Source>;

const LOCAL = 'http://127.0.0.1:8080';

class FileJobs extends Jobs {
  override save(artifact: Artifact, path: string, options: DownloadOptions = {}): Promise<void> {
    return saveTo(path, artifact, (more) => this.stream(artifact, more), options);
  }
}

export class Sparank extends Base {
  /** Without options: SPARANK_URL (or the local service) and SPARANK_API_KEY. */
  constructor(options: Partial<TransportOptions> = {}) {
    const { SPARANK_URL: url = LOCAL, SPARANK_API_KEY: apiKey } = process.env;
    super({ apiKey, ...options, url: options.url ?? url }, (transport) => new FileJobs(transport));
  }

  override async compress(
    model: Source,
    calibration: Source,
    { evaluation, ...options }: CompressOptions,
  ): Promise<Job> {
    const named = async (source: Source) => (typeof source === 'string' ? this.upload(source, options.signal) : source);
    return super.compress(await named(model), await named(calibration), {
      ...options,
      ...(evaluation === undefined ? {} : { evaluation: await named(evaluation) }),
    });
  }

  /** Sends the file at a path, unless the service has it. */
  async upload(path: string, signal?: AbortSignal): Promise<{ upload: string }> {
    return { upload: (await this.uploads.send(await fileAt(path), signal)).id };
  }
}
