import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Type, type Static } from 'typebox';
import Value from 'typebox/value';
import { ConfigError } from '../config/index.js';
import type { Database } from '../database/repositories.js';
import { SparankError } from '../errors/index.js';
import { jobOfKey, JOBS_PREFIX, UPLOADS_PREFIX } from '../jobs/files.js';
import type { Storage } from '../storage/storage.js';

/**
 * A storage belongs to one database: a marker in the storage names the installation, and the installation's row in the
 * database names the storage. Whoever shares a storage with another database would take its files for rubbish.
 */
export const MARKER_KEY = 'installation.json';

const MarkerSchema = Type.Object({
  installation: Type.String({ minLength: 1 }),
  storage: Type.String({ minLength: 1 }),
  claimed_at: Type.String(),
});
export type Marker = Static<typeof MarkerSchema>;

export interface OwnerDeps {
  database: Pick<Database, 'installation' | 'pool'>;
  storage: Pick<Storage, 'get' | 'put' | 'putNew' | 'list'>;
}

/** Whose the storage is, as far as it is known: no marker, this database's, or another one's. */
export type Ownership =
  | { whose: 'nobody' | 'own'; marker: Marker | null; fault: null }
  | { whose: 'foreign'; marker: Marker | null; fault: string };

const ADOPT =
  'if this storage shall belong to this database from now on, run `sparank storage adopt` with these settings';

/** Files that an unmarked storage is judged by. */
const SAMPLE = 1000;
/** Rounds of reading and writing the marker, beside others who do the same. */
const ROUNDS = 5;

export async function readMarker(storage: Pick<Storage, 'get'>): Promise<Marker | null> {
  let content: string;
  try {
    content = await text(await storage.get(MARKER_KEY));
  } catch (error) {
    if (error instanceof SparankError && error.code === 'not_found') return null;
    throw error;
  }
  try {
    const marker: unknown = JSON.parse(content);
    if (Value.Check(MarkerSchema, marker)) return marker;
  } catch {
    // As for any other content.
  }
  throw new ConfigError(`${MARKER_KEY} in the storage cannot be read, so whose the storage is is not known; ${ADOPT}`);
}

/** Looks, and changes nothing. */
export async function ownership({ database, storage }: OwnerDeps): Promise<Ownership> {
  const { id = null, storageId = null } = (await database.installation.get()) ?? {};
  const marker = await readMarker(storage);
  const foreign = (fault: string): Ownership => ({ whose: 'foreign', marker, fault: `${fault}; ${ADOPT}` });
  if (marker === null) {
    if (storageId !== null)
      return foreign('the storage is not the one that this database had until now: it has no marker');
    if (await holdsForeignFiles({ database, storage }))
      return foreign('the storage has files of jobs or uploads, and this database knows none of them');
    return { whose: 'nobody', marker, fault: null };
  }
  if (marker.installation !== id)
    return foreign(`the storage belongs to another database (${marker.installation}, this one is ${id ?? 'new'})`);
  if (storageId !== null && storageId !== marker.storage)
    return foreign('the storage is not the one that this database had until now');
  return { whose: 'own', marker, fault: null };
}

/**
 * Makes sure that the storage is this database's, and makes it so when it is nobody's.
 * @throws {ConfigError} when it is another database's, or the database has another storage
 */
export async function claimStorage(deps: OwnerDeps): Promise<void> {
  const { installation } = deps.database;
  for (let round = 0; round < ROUNDS; round++) {
    const found = await ownership(deps);
    if (found.whose === 'foreign') throw new ConfigError(found.fault);
    if (found.marker !== null) {
      await installation.bindStorage(found.marker.storage);
      // Read again: of two storages that one database found at the same time it has one.
      if ((await ownership(deps)).whose === 'own') return;
      continue;
    }
    const { id } = await installation.make();
    await deps.storage.putNew(MARKER_KEY, markerText(id, newStorageId()));
  }
  throw new ConfigError(`whose the storage is changes all the time; ${ADOPT}`);
}

/**
 * Makes the storage this database's, whoever it belonged to. Returns the marker that was there, null when none could be
 * read.
 */
export async function adoptStorage({ database, storage }: OwnerDeps): Promise<Marker | null> {
  const { id } = await database.installation.make();
  const before = await readMarker(storage).catch((error: unknown) => {
    if (error instanceof ConfigError) return null;
    throw error;
  });
  // A new name: whoever had the storage finds that it is not the one it had.
  const storageId = newStorageId();
  await storage.put(MARKER_KEY, Readable.from([Buffer.from(markerText(id, storageId))]));
  await database.installation.rebindStorage(storageId);
  return before;
}

const newStorageId = () => `sto_${randomUUID()}`;

const markerText = (installation: string, storage: string): string =>
  `${JSON.stringify({ installation, storage, claimed_at: new Date().toISOString() } satisfies Marker)}\n`;

/** Whether an unmarked storage has files, and those looked at are all unknown to the database. */
async function holdsForeignFiles({ database, storage }: OwnerDeps): Promise<boolean> {
  const first = async (prefix: string) => {
    const keys: string[] = [];
    for await (const { key } of storage.list(prefix)) if (keys.push(key) === SAMPLE) break;
    return keys;
  };
  const [jobs, uploads] = [await first(JOBS_PREFIX), await first(UPLOADS_PREFIX)];
  if (jobs.length + uploads.length === 0) return false;
  const known = await database.pool.filesInUse([...new Set(jobs.map(jobOfKey))]);
  return known.size === 0 && (await database.pool.uploadsInUse(uploads)).size === 0;
}
