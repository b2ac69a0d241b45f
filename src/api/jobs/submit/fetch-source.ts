import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { InputError, SparankError } from '../../../errors.js';
import type { Source } from '../../../jobs/spec.js';
import { Measure } from '../../../storage/measured-body.js';
import type { RouteDeps } from '../../deps.js';
import { openUrl } from '../../uploads/open-url.js';
import { receivedFile, storedFile, type Part, type SourceFile } from './source-file.js';

type UrlSource = Extract<Source, { url: string }>;

/** A file named by URL and hash: taken from storage when the team has that content, fetched and compared otherwise. */
export async function fetchSource(
  deps: RouteDeps,
  teamId: string,
  part: Part,
  { url, sha256 }: UrlSource,
  directory: string,
): Promise<SourceFile> {
  const known = await deps.database.uploads.findByHash(teamId, sha256);
  if (known !== null) return storedFile(deps, known);
  const refuse = (field: string, detail: string, cause?: unknown) =>
    new InputError('invalid_spec', detail, { faults: [{ pointer: `/${part}/${field}`, detail }], cause });
  const path = join(directory, `${part}.fetched`);
  const measure = new Measure(deps.config.MAX_UPLOAD_BYTES);
  try {
    const body = await openUrl(new URL(url), deps.config);
    await pipeline(body, measure, createWriteStream(path));
  } catch (error) {
    if (error instanceof SparankError && error.code === 'payload_too_large') {
      throw refuse('url', `the file is larger than MAX_UPLOAD_BYTES = ${deps.config.MAX_UPLOAD_BYTES} bytes`);
    }
    throw refuse('url', error instanceof InputError ? error.message : 'the file could not be fetched', error);
  }
  const got = measure.result();
  if (got.sha256 !== sha256) throw refuse('sha256', `the content at the URL has sha256 ${got.sha256}`);
  const filename =
    decodeURIComponent(new URL(url).pathname.split('/').at(-1) ?? '')
      .replaceAll(/[^\w.-]/g, '_')
      .slice(-200) || part;
  return receivedFile(deps, teamId, { path, filename, sha256 });
}
