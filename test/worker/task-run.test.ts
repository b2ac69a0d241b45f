import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import type { Database } from '../../src/database/repositories.js';
import { InfrastructureError } from '../../src/errors/index.js';
import { outputPrefix, workPrefix } from '../../src/jobs/files.js';
import type { StepResult } from '../../src/jobs/tasks.js';
import { LocalStorage } from '../../src/storage/local-storage.js';
import type { Storage } from '../../src/storage/storage.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { changedStorage, keysOf } from '../support/storage.js';
import { until } from '../support/until.js';
import { createWorkableJob, openRig, type Rig } from './rig.js';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

describe('a task on a worker', () => {
  let directory: string;
  let database: Database;
  let storage: Storage;
  let rig: Rig;
  let jobId: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sparank-task-'));
    database = await postgres.open();
    storage = await LocalStorage.open(join(directory, 'storage'));
    rig = openRig(database, storage, directory);
    jobId = await createWorkableJob(database);
  });
  afterEach(async () => {
    await rig.close();
    await rm(directory, { recursive: true, force: true });
  });

  const job = () => database.jobs.get(DEFAULT_TEAM, jobId);
  const events = async () =>
    (await database.events.list(DEFAULT_TEAM, jobId, { limit: 100 }))?.data.map(({ type }) => type) ?? [];
  const runTo = async (count: number) => {
    for (let done = 0; done < count; done++) await rig.runNext();
  };

  it('keeps the files of a job while steps need them, and only the artifacts after its evaluation', async () => {
    await runTo(4);
    expect(await keysOf(storage, workPrefix(jobId))).toHaveLength(4);
    await rig.runNext();
    expect(await job()).toMatchObject({ status: 'succeeded' });
    expect(await keysOf(storage)).toEqual([`jobs/${jobId}/artifacts/1/result.bin`]);
    expect(await readdir(join(directory, 'scratch'))).toEqual([]);
  });

  it('succeeds although its work files could not be deleted', async () => {
    await runTo(4);
    const failing = changedStorage(storage, {
      deletePrefix: () => Promise.reject(new InfrastructureError('storage_unavailable', 'the storage is away')),
    });
    await rig.runNext({ storage: failing });
    expect(await job()).toMatchObject({ status: 'succeeded' });
    expect(await keysOf(storage, workPrefix(jobId))).toHaveLength(4);
  });

  it('waits for a storage that goes away while its result is uploaded, without computing again', async () => {
    let puts = 0;
    const outage = changedStorage(storage, {
      async put(key, body, options) {
        if (++puts > 2) return storage.put(key, body, options);
        body.destroy();
        throw new InfrastructureError('storage_unavailable', 'the storage is away');
      },
    });
    const task = await rig.runNext({ storage: outage });
    expect(puts).toBe(3);
    expect(task.attempt).toBe(1);
    expect(await events()).not.toContain('task.retrying');
    expect(await job()).toMatchObject({ status: 'running', phase: 'plan' });
  });

  it('is tried again by another attempt when its result cannot be stored, and leaves no part of it', async () => {
    const broken = changedStorage(storage, {
      async put(key, body, options) {
        await storage.put(key, body, options);
        throw new Error('a bug below');
      },
    });
    await rig.runNext({ storage: broken });
    expect(await events()).toContain('task.retrying');
    expect(await keysOf(storage)).toEqual([]);
  });

  it('whose result the database refuses ends its attempt, and the job after the last of them', async () => {
    const { pool, notifications } = database;
    const answers: unknown[] = [];
    const refused: Database['pool']['succeed'] = (taskId, attempt, outcome) => {
      const result = { ...outcome.result, model: { name: 'a\0b' } } as unknown as StepResult;
      return pool.succeed(taskId, attempt, { ...outcome, result }).catch((error: unknown) => {
        answers.push(error);
        throw error;
      });
    };
    const { TASK_ATTEMPTS } = rig.deps.config;
    for (let attempt = 1; attempt <= TASK_ATTEMPTS; attempt++) {
      await until('the task may run again', () =>
        rig.runNext({ database: { pool: { ...pool, succeed: refused }, notifications } }).then(
          () => true,
          () => false,
        ),
      );
    }
    expect(answers).toHaveLength(TASK_ATTEMPTS);
    expect(await job()).toMatchObject({ status: 'failed' });
    expect((await events()).filter((type) => type === 'task.retrying')).toHaveLength(TASK_ATTEMPTS - 1);
  });

  it('keeps the files of a commit whose answer is lost while the worker stops', async () => {
    const shutdown = new AbortController();
    const { pool, notifications } = database;
    const cutOff: Database['pool']['succeed'] = async (...outcome) => {
      await pool.succeed(...outcome);
      shutdown.abort();
      throw new Error('the connection was closed');
    };
    const task = await rig.runNext({
      database: { pool: { ...pool, succeed: cutOff }, notifications },
      shutdown: shutdown.signal,
    });
    expect(await keysOf(storage)).toEqual([`${outputPrefix({ ...task, jobId, kind: 'inspect' })}result.bin`]);
    expect(await job()).toMatchObject({ status: 'running', phase: 'plan' });
    await runTo(4);
    expect(await job()).toMatchObject({ status: 'succeeded' });
  });

  it('that gets no answer to its commit stops all the same, and hands its task back', async () => {
    const shutdown = new AbortController();
    const { pool, notifications } = database;
    const silent: Database['pool']['succeed'] = () => {
      shutdown.abort();
      return new Promise(() => undefined);
    };
    const task = await rig.runNext({
      database: { pool: { ...pool, succeed: silent }, notifications },
      shutdown: shutdown.signal,
    });
    expect(await job()).toMatchObject({ status: 'running', phase: 'inspect' });
    expect(await rig.runNext()).toMatchObject({ taskId: task.taskId, attempt: task.attempt + 1 });
    expect(await job()).toMatchObject({ status: 'running', phase: 'plan' });
  });

  it('whose database answers nothing any more stops all the same', async () => {
    const shutdown = new AbortController();
    const { notifications, pool } = database;
    const never = () => new Promise<never>(() => undefined);
    const succeed = () => {
      setImmediate(() => shutdown.abort());
      return never();
    };
    await rig.runNext({
      database: { pool: { ...pool, succeed, requeue: never, fail: never, heartbeat: never }, notifications },
      shutdown: shutdown.signal,
    });
    expect(await job()).toMatchObject({ status: 'running', phase: 'inspect' });
  });

  it('that stops before its commit leaves no files', async () => {
    const shutdown = new AbortController();
    const stopping = changedStorage(storage, {
      async put(key, body, options) {
        await storage.put(key, body, options);
        shutdown.abort();
        throw new InfrastructureError('storage_unavailable', 'the storage is away');
      },
    });
    await rig.runNext({ storage: stopping, shutdown: shutdown.signal });
    expect(await keysOf(storage)).toEqual([]);
    await rig.runNext();
    expect(await job()).toMatchObject({ status: 'running', phase: 'plan' });
  });

  it('deletes what it uploaded when another attempt is in charge by then, and nothing of the other one', async () => {
    let other = '';
    const late = changedStorage(storage, {
      async put(key, body, options) {
        const stored = await storage.put(key, body, options);
        if (other !== '') return stored;
        const [taskId = '', attempt] = key.slice(workPrefix(jobId).length).split('/', 1)[0]?.split('.') ?? [];
        other = outputPrefix({ jobId, taskId, kind: 'inspect', attempt: Number(attempt) + 1 });
        await database.pool.requeue(taskId, Number(attempt));
        await rig.runNext();
        return stored;
      },
    });
    const second = openRig(database, late, join(directory, 'second'));
    await second.runNext();
    await second.close();
    expect(await keysOf(storage)).toEqual([`${other}result.bin`]);
    expect(await job()).toMatchObject({ status: 'running', phase: 'plan' });
  });
});
