import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { InputError, SparankError } from '../../errors/index.js';
import type { UploadRecord } from '../../database/records.js';
import { UPLOADS_PREFIX } from '../../jobs/files.js';
import type { RouteDeps } from '../deps.js';
import { requestFault } from '../problem.js';
import { isStored } from '../../storage/is-stored.js';
import { roomFor } from './room.js';

export interface Incoming {
  body: Readable;
  filename: string;
  signal?: AbortSignal;
  /** Throws when the content is not what was announced. */
  verify?: (sha256: string) => void;
}

/**
 * Streams to storage, hashing on the way, and records it. The same content of a team is stored once; a refusal leaves
 * nothing. When PostgreSQL does not answer, the row may be there all the same: the file stays, and the janitor takes it
 * if it has no row.
 */
export async function keepUpload(deps: RouteDeps, teamId: string, incoming: Incoming): Promise<UploadRecord> {
  const { storage, database } = deps;
  const key = `${UPLOADS_PREFIX}${teamId}/${randomUUID()}`;
  const { maxBytes, refusal } = await roomFor(deps, teamId);
  const stored = await storage
    .put(key, incoming.body, { maxBytes, ...(incoming.signal === undefined ? {} : { signal: incoming.signal }) })
    .catch((error: unknown) => {
      if (!(error instanceof SparankError) || error.code !== 'payload_too_large') throw error;
      throw refusal();
    });
  try {
    if (stored.bytes === 0) throw requestFault('#body', 'is empty');
    incoming.verify?.(stored.sha256);
    const { upload } = await database.uploads.create(teamId, { ...stored, key, filename: incoming.filename });
    if (upload.key !== key) await keepOne(deps, upload, key);
    return upload;
  } catch (error) {
    if (error instanceof InputError) await storage.delete(key).catch(() => undefined);
    throw error;
  }
}

/**
 * Of two files with the same content the first stays; when it was lost, the second takes its place, where jobs look for
 * it.
 */
async function keepOne({ storage, logger }: RouteDeps, upload: UploadRecord, second: string): Promise<void> {
  if (!(await isStored(storage, upload))) {
    await storage.copy(second, upload.key);
    logger.warn(
      { upload_id: upload.id, key: upload.key },
      'the content of an upload was lost, and has been given again',
    );
  }
  await storage.delete(second);
}
