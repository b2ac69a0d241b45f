import { NEEDED_KINDS, type NeededFile, type NeededKind } from '../database/records.js';
import type { Database } from '../database/repositories.js';
import { jobOfKey, JOBS_PREFIX, UPLOADS_PREFIX } from '../jobs/files.js';
import type { Storage, StoredObject } from '../storage/storage.js';
import { isInUse } from './sweep.js';

const PAGE = 500;

export interface CheckDeps {
  database: Pick<Database, 'pool'>;
  storage: Pick<Storage, 'head' | 'list'>;
}

/** `found`: the bytes of what is there instead, null when nothing is. */
export type MissingFile = NeededFile & { kind: NeededKind; found: number | null };

export interface StorageDifference {
  /** Files that the database says must be there. */
  needed: number;
  /** Files that are there. */
  stored: number;
  missing: MissingFile[];
  unknown: StoredObject[];
}

/**
 * Compares the storage with the database, both ways, and changes nothing. What looks wrong is looked at a second time,
 * since the service may go on meanwhile. Holds about 200 bytes for every file.
 */
export async function checkStorage(deps: CheckDeps): Promise<StorageDifference> {
  const stored = new Map<string, number>();
  const unknown: StoredObject[] = [];
  for (const [prefix, choose] of [
    [JOBS_PREFIX, unknownOfJobs],
    [UPLOADS_PREFIX, unknownUploads],
  ] as const) {
    let batch: StoredObject[] = [];
    for await (const file of deps.storage.list(prefix)) {
      stored.set(file.key, file.bytes);
      if (batch.push(file) < PAGE) continue;
      unknown.push(...(await choose(deps, batch)));
      batch = [];
    }
    unknown.push(...(await choose(deps, batch)));
  }

  let needed = 0;
  const missing: MissingFile[] = [];
  for (const kind of NEEDED_KINDS) {
    for (let after = ''; ;) {
      const rows = await deps.database.pool.neededFiles(kind, { after, limit: PAGE });
      needed += rows.reduce((sum, { files }) => sum + files.length, 0);
      const suspects = rows.filter(({ files }) => files.some(({ key, bytes }) => stored.get(key) !== bytes));
      missing.push(
        ...(await lookAgain(
          deps,
          kind,
          suspects.map(({ id }) => id),
        )),
      );
      const last = rows.at(-1);
      if (last === undefined) break;
      after = last.id;
    }
  }
  const gone = await Promise.all(unknown.map(async (file) => (await deps.storage.head(file.key)) === null));
  return { needed, stored: stored.size, missing, unknown: unknown.filter((_, i) => !gone[i]) };
}

/** What these rows still say, against the storage as it is now. */
async function lookAgain({ database, storage }: CheckDeps, kind: NeededKind, ids: string[]): Promise<MissingFile[]> {
  if (ids.length === 0) return [];
  const missing: MissingFile[] = [];
  const heads = new Map<string, number | null>();
  for (const { files } of await database.pool.neededFiles(kind, { ids }))
    for (const { key } of files) heads.set(key, (await storage.head(key))?.bytes ?? null);
  // A row that went between the two looks took its file along.
  for (const { files } of await database.pool.neededFiles(kind, { ids })) {
    for (const file of files) {
      const found = heads.get(file.key) ?? null;
      if (found !== file.bytes) missing.push({ ...file, kind, found });
    }
  }
  return missing;
}

async function unknownOfJobs({ database }: CheckDeps, batch: StoredObject[]): Promise<StoredObject[]> {
  const jobs = await database.pool.filesInUse([...new Set(batch.map(({ key }) => jobOfKey(key)))]);
  return batch.filter(({ key }) => {
    const job = jobs.get(jobOfKey(key));
    return job === undefined || !isInUse(key, job);
  });
}

async function unknownUploads({ database }: CheckDeps, batch: StoredObject[]): Promise<StoredObject[]> {
  const known = await database.pool.uploadsInUse(batch.map(({ key }) => key));
  return batch.filter(({ key }) => !known.has(key));
}
