import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { InputError, SparankError } from '../../../errors/index.js';
import { downloadSource } from '../../../outbound/http-source.js';
import { FETCH_SECONDS } from '../../../jobs/check-time.js';
import type { Source } from '../../../jobs/spec.js';
import { isStored } from '../../../storage/is-stored.js';
import type { LazyDirectory } from '../../../storage/scratch.js';
import type { RouteDeps } from '../../deps.js';
import { roomFor } from '../../uploads/room.js';
import { receivedFile, storedFile, type Part, type SourceFile } from './source-file.js';

type UrlSource = Extract<Source, { url: string }>;

/** A file named by URL and hash: taken from storage when the team has that content, fetched and compared otherwise. */
export async function fetchSource(
  deps: RouteDeps,
  teamId: string,
  { part, source: { url, sha256 }, directory }: { part: Part; source: UrlSource; directory: LazyDirectory },
): Promise<SourceFile> {
  const known = await deps.database.uploads.findByHash(teamId, sha256);
  if (known !== null && (await isStored(deps.storage, known))) return storedFile(deps, known);
  const refuse = (field: string, detail: string, cause?: unknown) =>
    new InputError('invalid_spec', detail, { faults: [{ pointer: `/${part}/${field}`, detail }], cause });
  const path = join(await directory.path(), `${part}.fetched`);
  const { URL_ALLOWED_HOSTS: allowedHosts, MAX_UPLOAD_BYTES } = deps.config;
  const { maxBytes, refusal } = await roomFor(deps, teamId);
  const signal = AbortSignal.timeout(FETCH_SECONDS * 1000);
  try {
    const body = await downloadSource(url, sha256, { allowedHosts, maxBytes, signal });
    await pipeline(body, createWriteStream(path));
  } catch (error) {
    if (signal.aborted) throw refuse('url', `the file did not come within ${FETCH_SECONDS} s; upload it`, error);
    if (!(error instanceof SparankError)) throw refuse('url', 'the file could not be fetched', error);
    if (error.code === 'payload_too_large') {
      if (maxBytes < MAX_UPLOAD_BYTES) throw refusal();
      throw refuse('url', `the file is larger than MAX_UPLOAD_BYTES = ${maxBytes} bytes`);
    }
    throw refuse(error.code === 'digest_mismatch' ? 'sha256' : 'url', error.message, error);
  }
  return receivedFile(deps, teamId, { path, filename: fileName(new URL(url)) || part, sha256 });
}

function fileName({ pathname }: URL): string {
  const last = pathname.split('/').at(-1) ?? '';
  let name = last;
  try {
    name = decodeURIComponent(last);
  } catch {
    // Not every path is UTF-8 in percent signs; such a name stays as it came.
  }
  return name.replaceAll(/[^\w.-]/g, '_').slice(-200);
}
