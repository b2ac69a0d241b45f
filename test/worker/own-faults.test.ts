import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/index.js';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import type { Database } from '../../src/database/repositories.js';
import { InfrastructureError } from '../../src/errors/index.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { startReconciler } from '../../src/maintenance/reconciler.js';
import { startRelay } from '../../src/maintenance/relay.js';
import { openQueue } from '../../src/queue/index.js';
import type { TaskQueue } from '../../src/queue/queue.js';
import { LocalStorage } from '../../src/storage/local-storage.js';
import type { Storage } from '../../src/storage/storage.js';
import { type RunningWorker, startWorker } from '../../src/worker/index.js';
import { quietLog } from '../support/log.js';
import { claimNext, createJob } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { changedStorage } from '../support/storage.js';
import { runSql } from '../support/teams.js';
import { until } from '../support/until.js';
import { STEPS } from './request.js';
import { createWorkableJob, openRig, type Rig } from './rig.js';

const coded = (code: string, message = code) => Object.assign(new Error(message), { code });
/** What S3 says to a wrong secret. */
const REFUSED = Object.assign(new Error('the signature does not match'), { name: 'SignatureDoesNotMatch' });

let postgres: TestPostgres;
let directory: string;
let database: Database;
let storage: Storage;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparank-own-faults-'));
  database = await postgres.open();
  storage = await LocalStorage.open(join(directory, 'storage'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const job = (id: string) => database.jobs.get(DEFAULT_TEAM, id);
const task = async (id: string) => {
  const [row] = await runSql<{ state: string; attempt: number; failures: number; hand_backs: number }>(
    database.url,
    `select state, attempt, failures, hand_backs from tasks where job_id = '${id}' order by created_at limit 1`,
  );
  return row;
};
const events = async (id: string) =>
  (await database.events.list(DEFAULT_TEAM, id, { limit: 100 }))?.data.map(({ type }) => type) ?? [];
const offer = { engine: 'onnxruntime', device: 'cpu', threads: 1, slots: 1 };

describe('a task on a worker with a fault of its own', () => {
  let rig: Rig;
  let id: string;
  let left: string[];
  beforeEach(async () => {
    rig = openRig(database, storage, directory);
    id = await createWorkableJob(database);
    left = [];
  });
  afterEach(() => rig.close());
  const run = (change: Partial<Storage>) =>
    rig.runNext({
      storage: changedStorage(storage, change),
      service: {
        leave: async ({ message }) => void left.push(message),
        worked: () => undefined,
      },
    });

  it.each([
    ['a full disk', { put: () => Promise.reject(coded('ENOSPC')) }],
    ['a wrong secret', { put: () => Promise.reject(REFUSED) }],
  ])('of %s goes back at once, without counting, while another worker is there', async (_, change) => {
    await database.workers.upsert({ id: 'wrk_other', ...offer });
    await run(change);
    expect(left).toHaveLength(1);
    expect(await task(id)).toEqual({ state: 'waiting', attempt: 2, failures: 0, hand_backs: 1 });
    expect(await events(id)).not.toContain('task.retrying');
    await rig.runNext();
    expect(await job(id)).toMatchObject({ status: 'running', phase: 'plan' });
  });

  it('counts as a failure when nobody else could do it', async () => {
    await database.workers.upsert({ id: 'wrk_test', ...offer });
    const trouble = { code: 'compute_failed', reason: 'x', since: new Date().toISOString() };
    await database.workers.upsert({ id: 'wrk_other', ...offer, trouble });
    await run({ put: () => Promise.reject(coded('ENOSPC')) });
    expect(await task(id)).toEqual({ state: 'waiting', attempt: 2, failures: 1, hand_backs: 0 });
    expect(await events(id)).toContain('task.retrying');
  });

  it('is not given back for ever', async () => {
    await database.workers.upsert({ id: 'wrk_other', ...offer });
    const error = { code: 'compute_failed', detail: 'x', origin: 'infrastructure', layer: null, faults: [] } as const;
    const ends: string[] = [];
    await until('the job has failed', async () => {
      // Its pauses are not what this is about.
      await runSql(database.url, 'update tasks set not_before = clock_timestamp()');
      const next = await claimNext(database);
      if (next !== null)
        ends.push(await database.pool.requeueElsewhere(next.taskId, next.attempt, { ...error, faults: [] }));
      return (await job(id))?.status === 'failed';
    });
    expect(ends.filter((end) => end === 'handed_back')).toHaveLength(5);
    expect(ends.filter((end) => end === 'retrying')).toHaveLength(readConfig({}).TASK_ATTEMPTS - 1);
    expect(ends.at(-1)).toBe('failed');
  });
});

describe('nothing is tried for ever', () => {
  let rig: Rig;
  afterEach(() => rig.close());

  it('an outage that outlasts the patience fails the attempt', async () => {
    rig = openRig(database, storage, directory);
    const id = await createWorkableJob(database);
    const away = () => Promise.reject(new InfrastructureError('storage_unavailable', 'away'));
    await rig.runNext({
      config: { ...rig.deps.config, OUTAGE_SECONDS: 0 },
      storage: changedStorage(storage, { put: away }),
    });
    expect(await task(id)).toMatchObject({ state: 'waiting', failures: 1, hand_backs: 0 });
  });

  it('a task that cannot even be claimed ends its job', async () => {
    rig = openRig(database, storage, directory);
    const id = await createWorkableJob(database);
    const { pool, notifications } = database;
    const claim = () => Promise.reject(new TypeError('the specification is not what it should be'));
    await until('the job has failed', async () => {
      await runSql(database.url, 'update tasks set not_before = clock_timestamp()');
      await rig.runNext({ database: { pool: { ...pool, claim }, notifications } }).catch(() => undefined);
      return (await job(id))?.status === 'failed';
    });
    expect(await task(id)).toMatchObject({ state: 'failed', failures: rig.deps.config.TASK_ATTEMPTS });
    expect((await job(id))?.error).toMatchObject({ origin: 'bug' });
    expect(await job(id)).toMatchObject({ seconds: { device: 0 } });
  });

  it('a job that kills every worker that takes it ends as failed', async () => {
    rig = openRig(database, storage, directory);
    const { id } = await createJob(database);
    let killed = 0;
    await until('the job has failed', async () => {
      await runSql(database.url, 'update tasks set not_before = clock_timestamp()');
      if ((await claimNext(database)) !== null) killed++;
      await runSql(
        database.url,
        "update tasks set lease_until = clock_timestamp() - interval '1 s' where state = 'running'",
      );
      await database.pool.reconcile(async () => true);
      return (await job(id))?.status === 'failed';
    });
    expect(killed).toBe(readConfig({}).TASK_ATTEMPTS);
    expect((await job(id))?.error).toMatchObject({ code: 'worker_lost' });
  });
});

describe('device time', () => {
  it('is none of what a worker waited for things that were away', async () => {
    const { id } = await createJob(database);
    const one = await claimNext(database);
    if (one === null) throw new Error('no task');
    // More than there was: the clock has not gone on by an hour.
    await database.pool.heartbeat(one.taskId, one.attempt, { fraction: 0.5, idleSeconds: 1800 });
    await database.pool.requeue(one.taskId, one.attempt, 3600);
    const [row] = await runSql<{ idle: number }>(database.url, 'select idle_seconds as idle from tasks');
    expect(row?.idle).toBe(0);
    expect(await job(id)).toMatchObject({ seconds: { device: 0 } });
    const two = await claimNext(database);
    if (two === null) throw new Error('no task');
    await runSql(database.url, "update tasks set started_at = started_at - interval '100 s'");
    await database.pool.requeue(two.taskId, two.attempt, 60);
    const { seconds } = (await job(id)) ?? { seconds: { device: 0 } };
    expect(Math.floor(seconds.device)).toBe(40);
  });
});

describe('a pool with a worker at fault', () => {
  let queue: TaskQueue;
  const opened: { close(): Promise<void> }[] = [];
  const workers: RunningWorker[] = [];
  afterEach(async () => {
    await Promise.all(workers.splice(0).map((worker) => worker.close(1)));
    for (const one of opened.splice(0).reverse()) await one.close();
  });

  function start(given: Storage, name: string): Promise<RunningWorker> {
    const config = readConfig({
      DATA_DIR: join(directory, name),
      LEASE_SECONDS: '2',
      THREADS: '1',
      ENGINE: 'onnxruntime',
    });
    return startWorker({
      database,
      queue,
      storage: given,
      config,
      logger: pino({ level: 'silent' }),
      metrics: createMetrics(),
      module: STEPS,
      filesNeeded: ({ finished }) => finished.flatMap(({ files }) => files),
    }).then((worker) => {
      workers.push(worker);
      return worker;
    });
  }

  it('goes on without it, shows why, and takes it back when its probe succeeds', async () => {
    const config = readConfig({});
    queue = openQueue(config, database.url, quietLog);
    opened.push(queue, startRelay({ database, queue, logger: quietLog }));
    opened.push(startReconciler({ database, queue, logger: quietLog }));
    let wrong = false;
    const refuse = <T>(work: () => Promise<T>): Promise<T> => (wrong ? Promise.reject(REFUSED) : work());
    const faulty = await start(
      changedStorage(storage, {
        check: () => refuse(() => storage.check()),
        put: (key, body, options) => {
          if (wrong) body.destroy();
          return refuse(() => storage.put(key, body, options));
        },
        download: (...args) => refuse(() => storage.download(...args)),
      }),
      'faulty',
    );
    await until('it takes tasks', () => faulty.health.state === 'in_service');
    wrong = true;
    const first = await createWorkableJob(database);
    await until('it has left', () => faulty.health.state === 'out_of_service');
    expect(faulty.health).toMatchObject({
      at_fault: true,
      trouble: { reason: expect.stringContaining('Signature') as string },
    });
    await until('the pool knows', async () => (await database.pool.overview()).workers[0]?.trouble != null);
    expect((await database.pool.overview()).classes).toEqual([]);

    await start(storage, 'sound');
    await until('the other one has done the job', async () => (await job(first))?.status === 'succeeded');
    expect((await database.pool.overview()).workers.map(({ trouble }) => trouble === null).sort()).toEqual([
      false,
      true,
    ]);

    wrong = false;
    await until('it is back', () => faulty.health.state === 'in_service');
    await until('the pool knows', async () =>
      (await database.pool.overview()).workers.every(({ trouble }) => trouble === null),
    );
    const [sound] = workers.splice(1);
    await sound?.close(1);
    const second = await createWorkableJob(database);
    await until('it has done a job', async () => (await job(second))?.status === 'succeeded');
  });

  it('one whose storage refuses it from the start takes nothing', async () => {
    queue = openQueue(readConfig({}), database.url, quietLog);
    opened.push(queue, startRelay({ database, queue, logger: quietLog }));
    const faulty = await start(changedStorage(storage, { check: () => Promise.reject(REFUSED) }), 'faulty');
    await until('it has left', () => faulty.health.state === 'out_of_service');
    const id = await createWorkableJob(database);
    expect(await job(id)).toMatchObject({ status: 'queued' });
    expect(faulty.health.at_fault).toBe(true);
  });
});
