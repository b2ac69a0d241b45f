import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_TEAM } from '../src/database/records.js';
import type { Database } from '../src/database/repositories.js';
import { serializeError } from '../src/errors/classify.js';
import { InfrastructureError, InputError, type SerializedError } from '../src/errors/index.js';
import { expireFiles, expireRows } from '../src/maintenance/janitor.js';
import { sweepJobs, sweepUploads } from '../src/maintenance/sweep.js';
import { jobPrefix, outputPrefix, workPrefix } from '../src/jobs/files.js';
import type { Assignment } from '../src/jobs/tasks.js';
import { createMetrics, type Metrics } from '../src/observability/metrics.js';
import { LocalStorage } from '../src/storage/local-storage.js';
import { claimNext, createJob, stepResult, testSpec } from './support/jobs.js';
import { quietLog } from './support/log.js';
import { startPostgres, type TestPostgres } from './support/postgres.js';
import { keysOf } from './support/storage.js';
import { runSql } from './support/teams.js';
import { until } from './support/until.js';
import { createWorkableJob, openRig } from './worker/rig.js';

const KILLED_WORKER = fileURLToPath(new URL('./worker/killed-worker.ts', import.meta.url));
const LAYERS = 2;
const badModel = serializeError(new InputError('invalid_model', 'NaN in the weights'));
const crash = serializeError(new InfrastructureError('compute_failed', 'the compute process ended'));

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

describe('the sweep of files that jobs left behind', () => {
  let directory: string;
  let root: string;
  let database: Database;
  let storage: LocalStorage;
  let metrics: Metrics;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sparank-janitor-'));
    root = join(directory, 'storage');
    database = await postgres.open({ LEASE_SECONDS: 1, TASK_ATTEMPTS: 1, ARTIFACT_TTL_DAYS: 90 });
    storage = await LocalStorage.open(root);
    metrics = createMetrics();
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const sweep = () => sweepJobs({ database, storage, logger: quietLog, metrics });
  const put = (key: string) => storage.put(key, Readable.from([Buffer.from('file')]));
  const claimed = async (): Promise<Assignment> => {
    const assignment = await claimNext(database);
    if (assignment === null) throw new Error('nothing to claim');
    return assignment;
  };
  /** A task's life on a worker, files included, that nobody cleans up after. */
  const finish = async (): Promise<string> => {
    const task = await claimed();
    const key = `${outputPrefix(task)}result.bin`;
    const files = [{ name: 'result.bin', key, ...(await put(key)) }];
    await database.pool.succeed(task.taskId, task.attempt, { result: stepResult(task, LAYERS), files });
    return key;
  };
  /** A job whose second layer ended with `error`; the keys of what was committed, and of what the layer wrote. */
  const failedJob = async (error: SerializedError) => {
    const { id } = await createJob(database);
    const committed = [await finish(), await finish(), await finish()];
    const layer = await claimed();
    const lost = `${outputPrefix(layer)}result.bin`;
    await put(lost);
    await database.pool.fail(layer.taskId, layer.attempt, error);
    return { id, committed: committed.sort(), lost, layer };
  };

  it('takes the work of a job that has succeeded, and leaves its artifacts', async () => {
    const { id } = await createJob(database);
    const keys = [];
    for (let step = 0; step < 5 + LAYERS - 1; step++) keys.push(await finish());
    expect(await keysOf(storage)).toHaveLength(keys.length);
    expect(await sweep()).toBe(keys.length - 1);
    expect(await keysOf(storage)).toEqual([`${jobPrefix(id)}artifacts/1/result.bin`]);
    expect(await sweep()).toBe(0);
  });

  it('takes nothing that a running job has finished or is writing, only attempts that are over', async () => {
    await createJob(database);
    const inspected = await finish();
    const plan = await claimed();
    const [over, writing] = [`${outputPrefix(plan)}a`, `${outputPrefix({ ...plan, attempt: plan.attempt + 1 })}a`];
    await database.pool.requeue(plan.taskId, plan.attempt);
    expect(await claimed()).toMatchObject({ taskId: plan.taskId, attempt: plan.attempt + 1 });
    for (const key of [over, writing]) await put(key);
    expect(await sweep()).toBe(1);
    expect(await keysOf(storage)).toEqual([inspected, writing].sort());
  });

  it('leaves a failed job what its retry goes on with', async () => {
    const { id, committed, lost, layer } = await failedJob(crash);
    expect(await sweep()).toBe(1);
    expect(await storage.head(lost)).toBeNull();
    expect(await keysOf(storage)).toEqual(committed);
    await database.jobs.retry(DEFAULT_TEAM, id);
    const resumed = await claimed();
    expect(resumed).toMatchObject({ taskId: layer.taskId, attempt: layer.attempt + 1 });
    // Of the inspection and the plan: a layer needs nothing of the other one.
    const needed = resumed.finished.flatMap(({ files }) => files.map(({ key }) => key));
    expect(needed).toHaveLength(2);
    expect(committed).toEqual(expect.arrayContaining(needed));
  });

  it('takes the work of a job that failed for its input; a retry starts from the beginning', async () => {
    const { id } = await failedJob(badModel);
    expect(await sweep()).toBe(4);
    expect(await keysOf(storage)).toEqual([]);
    expect(await database.jobs.retry(DEFAULT_TEAM, id)).toMatchObject({ status: 'queued', phase: 'inspect' });
    expect(await claimed()).toMatchObject({ jobId: id, kind: 'inspect', attempt: 1, finished: [] });
  });

  it('takes the work of a failed job after the time of artifacts; a retry starts from the beginning', async () => {
    const { id } = await failedJob(crash);
    const age = (days: number) =>
      runSql(database.url, `update jobs set finished_at = clock_timestamp() - make_interval(days => $1)`, [days]);
    await age(89);
    expect(await sweep()).toBe(1);
    await age(91);
    expect(await sweep()).toBe(3);
    await database.jobs.retry(DEFAULT_TEAM, id);
    expect(await claimed()).toMatchObject({ jobId: id, kind: 'inspect', finished: [] });
  });

  it('takes files of a job that is gone after some hours', async () => {
    const key = `${workPrefix('job_gone')}tsk_x.1/a`;
    await put(key);
    expect(await sweep()).toBe(0);
    const old = new Date(Date.now() - 7 * 3600_000);
    await utimes(join(root, key), old, old);
    expect(await sweep()).toBe(1);
    expect(await keysOf(storage)).toEqual([]);
  });

  it('takes artifacts that have no row any more', async () => {
    const { id } = await createJob(database);
    for (let step = 0; step < 5 + LAYERS - 1; step++) await finish();
    await sweep();
    await runSql(database.url, 'delete from artifacts where job_id = $1', [id]);
    expect(await sweep()).toBe(1);
  });

  it('takes what a worker had uploaded when it was killed, once its lease is over, and the job still ends', async () => {
    await database.close();
    database = await postgres.open({ LEASE_SECONDS: 1 });
    const id = await createWorkableJob(database);
    const child = fork(KILLED_WORKER, [database.url, join(directory, 'killed'), root], {
      execArgv: ['--import', 'tsx'],
    });
    await once(child, 'message');
    const [uploaded] = await keysOf(storage);
    expect(uploaded).toMatch(/\/tsk_\w+\.1\/result\.bin$/);
    // As long as it lives, or may live, its files stay.
    expect(await sweep()).toBe(0);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await until(
      'the lease is over',
      async () => (await database.pool.reconcile(() => Promise.resolve(true))).expiredLeases === 1,
    );
    expect(await sweep()).toBe(1);
    expect(await keysOf(storage)).toEqual([]);

    await runSql(database.url, 'update tasks set not_before = clock_timestamp()');
    const rig = openRig(database, storage, directory);
    for (let step = 0; step < 5; step++) await rig.runNext();
    await rig.close();
    expect(await database.jobs.get(DEFAULT_TEAM, id)).toMatchObject({ status: 'succeeded' });
    expect(await keysOf(storage)).toEqual([`${jobPrefix(id)}artifacts/1/result.bin`]);
  });

  const addUpload = async (key: string) => {
    const { bytes, sha256 } = await storage.put(key, Readable.from([Buffer.from(key)]));
    await database.uploads.create(DEFAULT_TEAM, { sha256, key, bytes, filename: 'm.onnx' });
  };
  const age = async (key: string, hours: number) => {
    const old = new Date(Date.now() - hours * 3600_000);
    await utimes(join(root, key), old, old);
  };

  it('takes uploads without a row after a day, and leaves those with one', async () => {
    const [known, stray, fresh] = ['uploads/team_default/a', 'uploads/team_default/b', 'uploads/team_default/c'];
    await addUpload(known);
    await put(stray);
    await put(fresh);
    for (const key of [known, stray]) await age(key, 25);
    await age(fresh, 23);
    expect(await sweepUploads({ database, storage, logger: quietLog, metrics })).toBe(1);
    expect(await keysOf(storage)).toEqual([known, fresh]);
  });

  it('goes on past a file that cannot be deleted, when it expires and when it is swept, and takes it later', async () => {
    const keys = ['a', 'b', 'c'].map((name) => `uploads/team_default/${name}`);
    for (const key of keys) await addUpload(key);
    await runSql(database.url, "update uploads set expires_at = now() - interval '1 second'");
    let broken = true;
    const failing = {
      list: (prefix: string) => storage.list(prefix),
      delete: async (key: string) => {
        if (broken && key.endsWith('/b')) throw new InfrastructureError('storage_unavailable', 'no answer');
        await storage.delete(key);
      },
    };
    const deps = { database, storage: failing, logger: quietLog, metrics };
    await expireFiles(deps);
    expect(await keysOf(storage)).toEqual([keys[1]]);
    await put('uploads/team_default/d');
    for (const key of await keysOf(storage)) await age(key, 25);
    expect(await sweepUploads(deps)).toBe(1);
    expect(await keysOf(storage)).toEqual([keys[1]]);
    broken = false;
    expect(await sweepUploads(deps)).toBe(1);
    expect(await keysOf(storage)).toEqual([]);
    const text = await metrics.registry.metrics();
    for (const line of [
      'sparank_janitor_removed_total{what="upload"} 3',
      'sparank_janitor_removed_total{what="stray_upload_file"} 2',
      'sparank_janitor_failures_total{what="file"} 2',
    ]) {
      expect(text).toContain(line);
    }
  });

  it('takes finished jobs, delivered webhooks and old answers after their time, and what hangs on them, but no artifact with time left', async () => {
    const endJob = async () => {
      const { id } = await createJob(database, { spec: { ...testSpec(), webhook: { url: 'https://example.com/' } } });
      for (let step = 0; step < 5 + LAYERS - 1; step++) await finish();
      return id;
    };
    const [old, kept, fresh] = [await endJob(), await endJob(), await endJob()];
    await createJob(database);
    await runSql(database.url, "update jobs set finished_at = now() - interval '366 days' where id = any($1)", [
      [old, kept],
    ]);
    await runSql(database.url, "update artifacts set expires_at = now() - interval '1 day' where job_id = $1", [old]);
    await runSql(
      database.url,
      "update webhook_deliveries set state = 'delivered', finished_at = now() - interval '31 days' where job_id <> $1",
      [fresh],
    );
    await runSql(
      database.url,
      'insert into idempotency_keys (team_id, key, body_hash, token, in_flight_until, created_at) ' +
        "select 'team_default', n::text, '', n::text, now(), now() - interval '25 hours' from generate_series(1, 1203) n",
    );
    const deps = { database, storage, logger: quietLog, metrics };
    // An artifact first: its file would be nobody's otherwise.
    await expireRows(deps);
    expect(await database.jobs.get(DEFAULT_TEAM, old)).not.toBeNull();
    await expireFiles(deps);
    await expireRows(deps);
    const left = (await database.jobs.list(DEFAULT_TEAM, { limit: 10 })).data.map(({ id }) => id);
    expect(left).toHaveLength(3);
    expect(left).toEqual(expect.arrayContaining([kept, fresh]));
    expect((await database.webhooks.list(DEFAULT_TEAM, { limit: 10 }))?.data.map(({ jobId }) => jobId)).toEqual([
      fresh,
    ]);
    const text = await metrics.registry.metrics();
    for (const [what, count] of Object.entries({ job: 1, webhook: 2, artifact: 1, idempotency_key: 1203 })) {
      expect(text).toContain(`sparank_janitor_removed_total{what="${what}"} ${count}`);
    }
    // The files of the job that is gone follow.
    for (const key of await keysOf(storage)) if (key.includes(old)) await age(key, 7);
    await sweep();
    expect((await keysOf(storage)).some((key) => key.includes(old))).toBe(false);
  });
});
