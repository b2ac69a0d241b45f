import { mkdtemp, rm, truncate, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/index.js';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import type { Database } from '../../src/database/repositories.js';
import { jobPrefix, outputPrefix } from '../../src/jobs/files.js';
import { startJanitor } from '../../src/maintenance/janitor.js';
import { checkStorage } from '../../src/maintenance/storage-check.js';
import { adoptStorage, claimStorage, MARKER_KEY } from '../../src/maintenance/storage-owner.js';
import { sweep, sweepUploads } from '../../src/maintenance/sweep.js';
import { createMetrics, type Metrics } from '../../src/observability/metrics.js';
import { LocalStorage } from '../../src/storage/local-storage.js';
import { claimNext, createJob, stepResult } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { keysOf } from '../support/storage.js';
import { runSql } from '../support/teams.js';
import { until } from '../support/until.js';

const DAYS_AGO = new Date(Date.now() - 48 * 3600_000);

let postgres: TestPostgres;
let root: string;
let storage: LocalStorage;
let database: Database;
let metrics: Metrics;
let lines: { level: number; msg: string }[];
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sparank-sweep-'));
  storage = await LocalStorage.open(root);
  database = await postgres.open();
  metrics = createMetrics();
  lines = [];
});
afterEach(() => rm(root, { recursive: true, force: true }));

const logger = pino(
  {},
  { write: (line: string) => void lines.push(JSON.parse(line) as { level: number; msg: string }) },
);
const deps = () => ({ database, storage, logger, metrics });
const put = (key: string) => storage.put(key, Readable.from([Buffer.from(key)]));
const putOld = async (key: string) => {
  await put(key);
  await utimes(join(root, key), DAYS_AGO, DAYS_AGO);
};
const keepUpload = async (name: string) => {
  const key = `uploads/${DEFAULT_TEAM}/${name}`;
  await database.uploads.create(DEFAULT_TEAM, { ...(await put(key)), key, filename: name });
  await utimes(join(root, key), DAYS_AGO, DAYS_AGO);
  return key;
};
/** One task of the only open job, done with a file of its own. */
const finishTask = async (layers = 1) => {
  const task = await claimNext(database);
  if (task === null) throw new Error('nothing to claim');
  const key = `${outputPrefix(task)}result.bin`;
  const files = [{ name: 'result.bin', key, ...(await put(key)) }];
  await database.pool.succeed(task.taskId, task.attempt, { result: stepResult(task, layers), files });
  await utimes(join(root, key), DAYS_AGO, DAYS_AGO);
  return { key, task };
};

describe('a sweep that would remove too much', () => {
  it('stops before the first file, says so in the log, the metrics and the database, and goes on when told', async () => {
    const known = await keepUpload('known');
    const strays = Array.from({ length: 130 }, (_, i) => `uploads/${DEFAULT_TEAM}/stray-${i}`);
    for (const key of strays) await putOld(key);
    expect(await sweep(deps(), 'uploads')).toEqual({
      seen: 131,
      unneeded: 130,
      unknown: 130,
      removed: 0,
      stopped: true,
    });
    expect(await keysOf(storage)).toHaveLength(131);
    const told = lines.find(({ level }) => level >= 50);
    expect(told?.msg).toContain('130 of 131 files');
    expect(told?.msg).toContain('sparank storage sweep --delete');
    expect(await metrics.registry.metrics()).toContain('sparank_sweep_stopped{what="uploads"} 1');
    const holds = await database.installation.sweepHolds();
    expect(holds).toMatchObject({ uploads: { files: 130, of: 131 } });
    expect(Date.parse(holds.uploads?.since ?? '')).toBeGreaterThan(DAYS_AGO.getTime());
    // Still since the same moment.
    expect(await sweepUploads(deps())).toBe(0);
    expect(await database.installation.sweepHolds()).toEqual(holds);

    expect(await sweep(deps(), 'uploads', 'look')).toMatchObject({ removed: 0, stopped: true });
    expect(await sweep(deps(), 'uploads', 'told')).toMatchObject({ removed: 130 });
    expect(await keysOf(storage)).toEqual([known]);
    expect(await database.installation.sweepHolds()).toEqual({});
    expect(await metrics.registry.metrics()).toContain('sparank_sweep_stopped{what="uploads"} 0');
  });

  it('goes by itself again when the right database is back', async () => {
    for (let i = 0; i < 30; i++) await putOld(`uploads/${DEFAULT_TEAM}/${i}`);
    expect(await sweep(deps(), 'uploads')).toMatchObject({ stopped: true });
    const uploads = (await keysOf(storage)).map((key, i) => ({ sha256: String(i), key, bytes: 1, filename: 'a' }));
    for (const upload of uploads) await database.uploads.create(DEFAULT_TEAM, upload);
    expect(await sweep(deps(), 'uploads')).toMatchObject({ stopped: false, removed: 0 });
    expect(await database.installation.sweepHolds()).toEqual({});
    expect(await keysOf(storage)).toHaveLength(30);
  });

  it('does not stop for few files, nor for a small share', async () => {
    for (let i = 0; i < 20; i++) await putOld(`uploads/${DEFAULT_TEAM}/${i}`);
    expect(await sweep(deps(), 'uploads')).toMatchObject({ removed: 20, stopped: false });
    for (let i = 0; i < 21; i++) await putOld(`uploads/${DEFAULT_TEAM}/${i}`);
    for (let i = 0; i < 400; i++) await keepUpload(`known-${i}`);
    expect(await sweep(deps(), 'uploads')).toMatchObject({ seen: 421, removed: 21, stopped: false });
  });

  it('is no sweep of what finished jobs leave, however much it is', async () => {
    const { id } = await createJob(database);
    for (let step = 0; step < 5 + 24; step++) await finishTask(25);
    expect(await database.jobs.get(DEFAULT_TEAM, id)).toMatchObject({ status: 'succeeded' });
    expect(await sweep(deps(), 'jobs')).toMatchObject({
      seen: 29,
      unneeded: 28,
      unknown: 0,
      removed: 28,
      stopped: false,
    });
    expect(await keysOf(storage)).toEqual([`${jobPrefix(id)}artifacts/1/result.bin`]);
  });

  it('stops over the later work of jobs that an older database knows', async () => {
    const { id } = await createJob(database);
    const { task } = await finishTask();
    // What the database does not know: later attempts, tasks and artifacts.
    const later = [
      `${jobPrefix(id)}work/${task.taskId}.2/result.bin`,
      ...Array.from({ length: 20 }, (_, i) => `${jobPrefix(id)}work/tsk_later${i}.1/factors`),
      `${jobPrefix(id)}artifacts/1/model.onnx`,
    ];
    for (const key of later) await putOld(key);
    expect(await sweep(deps(), 'jobs')).toMatchObject({ seen: 23, unknown: 22, removed: 0, stopped: true });
  });
});

describe('the janitor', () => {
  const stray = `uploads/${DEFAULT_TEAM}/stray`;
  const startedJanitor = (SWEEP: string) => startJanitor({ database, storage, logger, metrics }, readConfig({ SWEEP }));

  it('sweeps a storage of its own database', async () => {
    await claimStorage({ database, storage });
    await putOld(stray);
    const janitor = startedJanitor('on');
    await until('the stray file is gone', async () => (await storage.head(stray)) === null);
    await janitor.close();
    expect(await keysOf(storage)).toEqual([MARKER_KEY]);
  });

  it('sweeps nothing of a storage that another database has adopted, and says so', async () => {
    await claimStorage({ database, storage });
    await putOld(stray);
    await adoptStorage({ database: await postgres.open(), storage });
    const janitor = startedJanitor('on');
    await until('both sweeps were left out', () => lines.filter(({ level }) => level >= 50).length >= 2);
    await janitor.close();
    expect(await storage.head(stray)).not.toBeNull();
    expect(lines.some(({ msg }) => msg.startsWith('nothing is swept'))).toBe(true);
  });

  it('does not sweep when that is turned off, but still takes what has expired', async () => {
    await claimStorage({ database, storage });
    await putOld(stray);
    const expired = await keepUpload('expired');
    await runSql(database.url, "update uploads set expires_at = now() - interval '1 second'");
    const janitor = startedJanitor('off');
    await until('the expired file is gone', async () => (await storage.head(expired)) === null);
    await janitor.close();
    expect(await storage.head(stray)).not.toBeNull();
  });
});

describe('the check of the storage', () => {
  it('lists what is missing and what is unknown, and changes nothing', async () => {
    // The uploads of this job have rows and no files.
    await createJob(database);
    const { key: work, task } = await finishTask();
    const [whole, cut, lost] = [await keepUpload('whole'), await keepUpload('cut'), await keepUpload('lost')];
    const before = await checkStorage(deps());
    expect(before.missing.map(({ key }) => key).sort()).toEqual([
      'uploads/team_default/calibration.npz',
      'uploads/team_default/model.onnx',
    ]);
    expect(before).toMatchObject({ needed: 6, stored: 4, unknown: [] });

    await truncate(join(root, cut), 3);
    await storage.delete(lost);
    await storage.delete(work);
    await put(`${jobPrefix('job_unknown')}work/tsk_a.1/a`);
    await put(`${outputPrefix({ ...task, attempt: 9 })}later`);
    await put('uploads/team_default/unknown');
    const keys = await keysOf(storage);
    const { missing, unknown } = await checkStorage(deps());
    const told = Object.fromEntries(missing.map(({ key, kind, found }) => [key, { kind, found }]));
    expect(told).toMatchObject({
      [cut]: { kind: 'upload', found: 3 },
      [lost]: { kind: 'upload', found: null },
      [work]: { kind: 'work', found: null },
    });
    expect(told).not.toHaveProperty(whole);
    expect(missing.find(({ key }) => key === work)?.of).toBe(`result.bin of the step inspect of ${task.jobId}`);
    expect(unknown.map(({ key }) => key).sort()).toEqual(
      [
        `${jobPrefix('job_unknown')}work/tsk_a.1/a`,
        `${outputPrefix({ ...task, attempt: 9 })}later`,
        'uploads/team_default/unknown',
      ].sort(),
    );
    expect(await keysOf(storage)).toEqual(keys);
    expect(await database.installation.get()).toBeNull();
  });

  it('finds lost artifacts, and goes through more than one page', async () => {
    const { id } = await createJob(database);
    for (let step = 0; step < 5; step++) await finishTask();
    const artifact = `${jobPrefix(id)}artifacts/1/result.bin`;
    await storage.delete(artifact);
    await runSql(
      database.url,
      "insert into uploads (id, team_id, sha256, storage_key, bytes, filename, expires_at) select 'upl_' || n, 'team_default', n::text, 'uploads/team_default/many-' || n, 1, 'a', now() + interval '1 day' from generate_series(1, 1100) n",
    );
    const { missing, needed } = await checkStorage(deps());
    expect(missing.filter(({ kind }) => kind === 'artifact').map(({ key }) => key)).toEqual([artifact]);
    expect(missing.filter(({ key }) => key.includes('/many-'))).toHaveLength(1100);
    expect(needed).toBe(1103);
  });
});
