import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimWhenItAnswers } from '../../src/service/claim-storage.js';
import { ConfigError } from '../../src/config/index.js';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import type { Database } from '../../src/database/repositories.js';
import { InfrastructureError } from '../../src/errors/index.js';
import { adoptStorage, claimStorage, MARKER_KEY, ownership, readMarker } from '../../src/maintenance/storage-owner.js';
import { openStorage } from '../../src/storage/open.js';
import type { Storage } from '../../src/storage/storage.js';
import { startS3 } from './s3-server.js';
import { quietLog } from '../support/log.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { changedStorage, keysOf } from '../support/storage.js';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

describe.each(['local disk', 'S3'])('a storage on %s', (kind) => {
  let directory: string;
  let storages: [Storage, Storage];
  let close: () => Promise<void>;
  let [first, second]: Database[] = [];
  const databases = () => {
    if (first === undefined || second === undefined) throw new Error('no database');
    return { first, second };
  };
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sparank-owner-'));
    const servers = kind === 'S3' ? [await startS3(), await startS3()] : [];
    const open = (n: number) =>
      openStorage({ DATA_DIR: join(directory, String(n)), STORAGE_URL: servers[n - 1]?.url ?? undefined });
    storages = [await open(1), await open(2)];
    [first, second] = [await postgres.open(), await postgres.open()];
    close = async () => void (await Promise.all(servers.map((server) => server.close())));
  });
  afterEach(async () => {
    await close();
    await rm(directory, { recursive: true, force: true });
  });

  const put = (key: string, content = 'file') => storages[0].put(key, Readable.from([Buffer.from(content)]));

  it('belongs to the database that claims it first, whoever of that database comes', async () => {
    const { first: database } = databases();
    const [storage] = storages;
    await Promise.all([1, 2, 3].map(() => claimStorage({ database, storage })));
    const { id, storageId } = await database.installation.make();
    expect(await readMarker(storage)).toMatchObject({ installation: id, storage: storageId });
    await claimStorage({ database: await postgres.openAgain(database), storage });
    expect(await keysOf(storage)).toEqual([MARKER_KEY]);
  });

  it('is refused to another database, with the way to adopt it, and nothing is changed', async () => {
    const { first: owner, second: other } = databases();
    const [storage] = storages;
    await claimStorage({ database: owner, storage });
    const before = await readMarker(storage);
    const refusal = await claimStorage({ database: other, storage }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ConfigError);
    const { id: ownerId } = await owner.installation.make();
    expect(String(refusal)).toContain(ownerId);
    expect(String(refusal)).toContain('sparank storage adopt');
    expect(await readMarker(storage)).toEqual(before);
  });

  it('goes to one of two databases that find it empty at the same time', async () => {
    const [storage] = storages;
    const both = Object.values(databases());
    const claims = await Promise.allSettled(both.map((database) => claimStorage({ database, storage })));
    // Where the store has no conditional writes both may be told yes for a moment; whose it is is one of them all the
    // same.
    const owners = await Promise.all(both.map((database) => ownership({ database, storage })));
    expect(owners.map(({ whose }) => whose).sort()).toEqual(['foreign', 'own']);
    if (kind === 'local disk') expect(claims.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('is not exchanged for another one by a wrong setting', async () => {
    const { first: database } = databases();
    await claimStorage({ database, storage: storages[0] });
    await expect(claimStorage({ database, storage: storages[1] })).rejects.toThrow(
      /not the one.*sparank storage adopt/,
    );
    expect(await keysOf(storages[1])).toEqual([]);
  });

  it('of an installation from before there were markers is claimed by the database that knows its files', async () => {
    const { first: owner, second: other } = databases();
    const key = `uploads/${DEFAULT_TEAM}/a`;
    const stored = await put(key);
    await owner.uploads.create(DEFAULT_TEAM, { ...stored, key, filename: 'm.onnx' });
    const [storage] = storages;
    await expect(claimStorage({ database: other, storage })).rejects.toThrow(/knows none of them/);
    await claimStorage({ database: owner, storage });
    expect((await ownership({ database: owner, storage })).whose).toBe('own');
  });

  it('is adopted on purpose; its former owner is refused then, and may adopt another one', async () => {
    const { first: owner, second: heir } = databases();
    const [storage, another] = storages;
    await claimStorage({ database: owner, storage });
    const before = await adoptStorage({ database: heir, storage });
    expect(before?.installation).toBe((await owner.installation.make()).id);
    await claimStorage({ database: heir, storage });
    await expect(claimStorage({ database: owner, storage })).rejects.toThrow(/belongs to another database/);
    expect(await adoptStorage({ database: owner, storage: another })).toBeNull();
    await claimStorage({ database: owner, storage: another });
  });

  it('with a marker that cannot be read is nobody’s to take, but may be adopted', async () => {
    const { first: database } = databases();
    const [storage] = storages;
    for (const content of ['', '{', '{"installation": 3}']) {
      await put(MARKER_KEY, content);
      await expect(claimStorage({ database, storage })).rejects.toThrow(/cannot be read.*sparank storage adopt/);
    }
    await adoptStorage({ database, storage });
    await claimStorage({ database, storage });
  });

  it('that does not answer lets the process start, which ends when the storage turns out to be another’s', async () => {
    const { first: owner, second: other } = databases();
    const [storage] = storages;
    await claimStorage({ database: owner, storage });
    let down = true;
    const flaky = changedStorage(storage, {
      get: async (key) => {
        if (down) throw new InfrastructureError('storage_unavailable', 'no answer');
        return storage.get(key);
      },
    });
    const claim = await claimWhenItAnswers({ database: other, storage: flaky }, quietLog, 1);
    const own = await claimWhenItAnswers({ database: owner, storage: flaky }, quietLog, 1);
    down = false;
    expect(await claim.failed).toBeInstanceOf(ConfigError);
    await claim.close();
    await own.close();
    await expect(claimWhenItAnswers({ database: other, storage }, quietLog)).rejects.toThrow(/sparank storage adopt/);
  });
});

it('a local storage that is a plain directory of someone else is left alone', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sparank-owner-'));
  await writeFile(join(directory, MARKER_KEY), 'no marker of ours');
  const database = await postgres.open();
  const storage = await openStorage({ DATA_DIR: directory, STORAGE_URL: `file://${directory}` });
  await expect(claimStorage({ database, storage })).rejects.toThrow(/cannot be read/);
  await rm(directory, { recursive: true, force: true });
});
