import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import type { Database, Reconciled } from '../../src/database/repositories.js';
import { serializeError } from '../../src/errors/classify.js';
import { InfrastructureError, InputError } from '../../src/errors/index.js';
import type { Assignment } from '../../src/jobs/tasks.js';
import { claimNext, createJob, finishNext, stepResult, testSpec } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { runSql } from '../support/teams.js';
import { until } from '../support/until.js';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

const NOT_IN_QUEUE = () => Promise.resolve(false);
const IN_QUEUE = () => Promise.resolve(true);
const crash = serializeError(new InfrastructureError('compute_failed', 'the compute process ended'));
const badModel = serializeError(new InputError('invalid_model', 'NaN in the weights', { layer: 'conv1' }));

const job = async (database: Database, id: string) => {
  const found = await database.jobs.get(DEFAULT_TEAM, id);
  if (found === null) throw new Error('the job is gone');
  return found;
};
const types = async (database: Database, id: string) =>
  (await database.events.list(DEFAULT_TEAM, id, { limit: 1000 }))?.data.map((event) => event.type) ?? [];
const claimed = async (database: Database, workerId?: string): Promise<Assignment> => {
  const assignment = await claimNext(database, workerId);
  if (assignment === null) throw new Error('nothing to claim');
  return assignment;
};
const succeed = (database: Database, { kind, layer, taskId, attempt }: Assignment, layers = 2) =>
  database.pool.succeed(taskId, attempt, { result: stepResult({ kind, layer }, layers), files: [] });

describe('the fence', () => {
  it('refuses results, heartbeats, failures and hand-backs of an attempt that is over', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    const old = await claimed(database, 'wrk_old');
    expect(await database.pool.requeue(old.taskId, old.attempt)).toBe(true);
    const current = await claimed(database, 'wrk_new');
    expect(current).toMatchObject({ taskId: old.taskId, attempt: old.attempt + 1 });

    expect(await succeed(database, old)).toBe(false);
    expect(await database.pool.heartbeat(old.taskId, old.attempt, { fraction: 0.5 })).toBe('lost');
    expect(await database.pool.fail(old.taskId, old.attempt, badModel)).toBe('lost');
    expect(await database.pool.requeue(old.taskId, old.attempt)).toBe(false);
    expect(await job(database, id)).toMatchObject({ status: 'running', error: null });

    expect(await database.pool.heartbeat(current.taskId, current.attempt, { fraction: 0.5 })).toBe('ok');
    expect(await succeed(database, current)).toBe(true);
  });

  it('takes the repetition of a result whose answer was lost, without doing anything twice', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    const inspect = await claimed(database);
    expect(await succeed(database, inspect)).toBe(true);
    expect(await succeed(database, inspect)).toBe(true);
    expect((await claimed(database)).kind).toBe('plan');
    expect(await claimNext(database)).toBeNull();
    expect((await types(database, id)).filter((type) => type === 'job.phase')).toHaveLength(1);
  });

  it('lets one of many claimers have a task', async () => {
    const database = await postgres.open();
    const other = await postgres.openAgain(database);
    await createJob(database);
    const [task] = (await database.pool.release()) ?? [];
    if (task === undefined) throw new Error('nothing released');
    const claims = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        (i % 2 === 0 ? database : other).pool.claim(task.taskId, task.attempt, `wrk_${i}`),
      ),
    );
    expect(claims.filter((claim) => claim !== null)).toHaveLength(1);
  });

  it('keeps a task that is not released from being claimed', async () => {
    const database = await postgres.open();
    await createJob(database);
    const [task] = (await database.pool.release()) ?? [];
    if (task === undefined) throw new Error('nothing released');
    await database.pool.unrelease([task]);
    expect(await database.pool.claim(task.taskId, task.attempt, 'wrk_a')).toBeNull();
  });

  it('gives nothing to a worker that drains, whether or not it knows, and the task waits for others at once', async () => {
    const database = await postgres.open();
    await createJob(database);
    const worker = { engine: 'onnxruntime', device: 'cpu', threads: 1, slots: 1 };
    for (const id of ['wrk_a', 'wrk_b']) await database.workers.upsert({ ...worker, id });
    await database.workers.drain('wrk_a', true);
    const [task] = (await database.pool.release()) ?? [];
    if (task === undefined) throw new Error('nothing released');
    const told: string[] = [];
    const claimOf = (id: string) => database.pool.claim(task.taskId, task.attempt, id, () => told.push(id));
    expect(await claimOf('wrk_a')).toBeNull();
    expect(told).toEqual(['wrk_a']);
    // Whoever still has the message of that attempt is too late.
    expect(await claimOf('wrk_b')).toBeNull();
    expect(told).toEqual(['wrk_a']);
    expect(await claimNext(database, 'wrk_b')).toMatchObject({ taskId: task.taskId, attempt: task.attempt + 1 });
    await database.workers.drain('wrk_a', false);
    await createJob(database);
    expect(await claimNext(database, 'wrk_a')).not.toBeNull();
  });

  it('lets the last two layers that end at the same time make one assemble task', async () => {
    const database = await postgres.open();
    await createJob(database);
    await finishNext(database, 2);
    await finishNext(database, 2);
    const layers = [await claimed(database, 'wrk_a'), await claimed(database, 'wrk_b')];
    expect(await Promise.all(layers.map((layer) => succeed(database, layer)))).toEqual([true, true]);
    expect((await claimed(database)).kind).toBe('assemble');
    expect(await claimNext(database)).toBeNull();
  });
});

describe('failures', () => {
  it('tries an infrastructure error again with backoff, keeps the job running, and ends it after the last attempt', async () => {
    const database = await postgres.open({ TASK_ATTEMPTS: 2 });
    const { id } = await createJob(database);
    const first = await claimed(database);
    expect(await database.pool.fail(first.taskId, first.attempt, crash)).toBe('retrying');
    expect(await claimNext(database)).toBeNull();
    expect((await job(database, id)).status).toBe('running');
    await until('the backoff is over', async () => (await claimNext(database)) !== null);
    expect(await database.pool.fail(first.taskId, first.attempt + 1, crash)).toBe('failed');
    expect(await job(database, id)).toMatchObject({
      status: 'failed',
      error: { code: 'compute_failed', origin: 'infrastructure' },
    });
    expect(await types(database, id)).toEqual(['job.created', 'job.started', 'task.retrying', 'job.failed']);
  });

  it('ends the job at once when the input is at fault, names the layer, and cancels the other tasks', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    await finishNext(database, 2);
    await finishNext(database, 2);
    const bad = await claimed(database, 'wrk_a');
    const good = await claimed(database, 'wrk_b');
    expect(await database.pool.fail(bad.taskId, bad.attempt, badModel)).toBe('failed');
    const ended = await job(database, id);
    expect(ended).toMatchObject({
      status: 'failed',
      error: { code: 'invalid_model', origin: 'input', layer: 'conv1' },
    });
    expect(await database.pool.heartbeat(good.taskId, good.attempt, { fraction: 0.9 })).toBe('cancel');
    expect(await succeed(database, good)).toBe(false);
    const layers = await database.layers.list(DEFAULT_TEAM, id);
    expect(layers?.[bad.layer ?? -1]).toMatchObject({ status: 'failed', reason: 'NaN in the weights' });
  });

  it('a task handed back does not count as failed, however often', async () => {
    const database = await postgres.open({ TASK_ATTEMPTS: 1 });
    await createJob(database);
    for (let i = 1; i <= 3; i++) {
      const assignment = await claimed(database);
      expect(assignment.attempt).toBe(i);
      expect(await database.pool.requeue(assignment.taskId, assignment.attempt)).toBe(true);
    }
    expect((await claimed(database)).attempt).toBe(4);
  });
});

describe('the reconciler', () => {
  it('gives a task with an expired lease to another worker, and the first one is told', async () => {
    const database = await postgres.open({ LEASE_SECONDS: 0.2 });
    const { id } = await createJob(database);
    const lost = await claimed(database, 'wrk_dead');
    await until('the lease expires', async () => (await database.pool.reconcile(IN_QUEUE)).expiredLeases === 1);
    expect(await database.pool.heartbeat(lost.taskId, lost.attempt, { fraction: 1 })).toBe('lost');
    expect(await succeed(database, lost)).toBe(false);
    let next: Assignment | null = null;
    await until('another attempt', async () => (next = await claimNext(database, 'wrk_alive')) !== null);
    expect(next).toMatchObject({ taskId: lost.taskId, attempt: 2 });
    expect(await types(database, id)).toContain('task.retrying');
  });

  it('leaves a lease alone that is renewed', async () => {
    const database = await postgres.open({ LEASE_SECONDS: 6 });
    await createJob(database);
    const { taskId, attempt } = await claimed(database);
    const pass = (seconds: number) =>
      runSql(database.url, `update tasks set lease_until = lease_until - interval '${seconds} seconds'`);
    for (let i = 0; i < 3; i++) {
      await pass(4);
      expect((await database.pool.reconcile(IN_QUEUE)).expiredLeases).toBe(0);
      expect(await database.pool.heartbeat(taskId, attempt, { fraction: 0.5 })).toBe('ok');
    }
    await pass(7);
    await until('it ends', async () => (await database.pool.reconcile(IN_QUEUE)).expiredLeases === 1);
  });

  it('releases again, under a new attempt, what the queue has lost; the old message is refused', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    const [task] = (await database.pool.release()) ?? [];
    if (task === undefined) throw new Error('nothing released');
    expect((await database.pool.reconcile(IN_QUEUE)).lostFromQueue).toBe(0);
    const changes: Reconciled[] = [];
    const note = (change: Reconciled) => void changes.push(change);
    await until('it is missed', async () => (await database.pool.reconcile(NOT_IN_QUEUE, note)).lostFromQueue === 1);
    expect(changes).toEqual([
      {
        what: 'lostFromQueue',
        jobId: id,
        teamId: DEFAULT_TEAM,
        task: { id: task.taskId, kind: 'inspect', layer: null, attempt: 1, workerId: null },
      },
    ]);
    expect(await database.pool.claim(task.taskId, task.attempt, 'wrk_late')).toBeNull();
    expect(await database.pool.release()).toEqual([{ taskId: task.taskId, attempt: 2, workerClass: '' }]);
  });

  it('ends a running job at its deadline, and its worker stops', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database, { deadlineSeconds: 0.3 });
    const { taskId, attempt } = await claimed(database);
    expect((await job(database, id)).status).toBe('running');
    await until('the deadline', async () => (await database.pool.reconcile(IN_QUEUE)).deadlines === 1);
    expect(await job(database, id)).toMatchObject({
      status: 'failed',
      error: { code: 'deadline_exceeded', origin: 'input', detail: expect.not.stringContaining('waiting') },
    });
    expect(await database.pool.heartbeat(taskId, attempt, { fraction: 0.5 })).toBe('cancel');
  });

  it('ends a job at its deadline that waits, for a place or for a worker that there is not, and no other', async () => {
    const database = await postgres.open();
    const waiting = await createJob(database, { deadlineSeconds: 0.3 });
    const withoutWorker = await createJob(database, {
      deadlineSeconds: 0.3,
      spec: { ...testSpec(), resources: { class: 'no-such-class' } },
    });
    const patient = await createJob(database, { deadlineSeconds: 3600 });
    const ageless = await createJob(database);
    let ended = 0;
    await until('the deadlines', async () => (ended += (await database.pool.reconcile(IN_QUEUE)).deadlines) === 2);
    for (const { id } of [waiting, withoutWorker]) {
      expect(await job(database, id)).toMatchObject({
        status: 'failed',
        error: { code: 'deadline_exceeded', origin: 'input', detail: expect.stringContaining('waiting all the time') },
      });
    }
    for (const { id } of [patient, ageless]) expect((await job(database, id)).status).toBe('queued');
    const released = (await database.pool.release()) ?? [];
    expect(released).toHaveLength(2);
  });

  it('gives a job that is retried after its deadline the whole time again', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database, { deadlineSeconds: 0.5 });
    await claimed(database);
    await until('the deadline', async () => (await database.pool.reconcile(IN_QUEUE)).deadlines === 1);
    await database.jobs.retry(DEFAULT_TEAM, id);
    expect((await database.pool.reconcile(IN_QUEUE)).deadlines).toBe(0);
    expect((await job(database, id)).status).toBe('queued');
    await until('the deadline', async () => (await database.pool.reconcile(IN_QUEUE)).deadlines === 1);
  });
});

describe('cancel', () => {
  it('a queued job is canceled at once, and again without change', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    expect(await database.jobs.requestCancel(DEFAULT_TEAM, id)).toMatchObject({
      changed: true,
      job: { status: 'canceled' },
    });
    const again = await database.jobs.requestCancel(DEFAULT_TEAM, id);
    expect(again).toMatchObject({ changed: false, job: { status: 'canceled' } });
    expect(await database.pool.release()).toEqual([]);
    expect(await types(database, id)).toEqual(['job.created', 'job.canceling', 'job.canceled']);
  });

  it('a released task of a canceled job is not given out', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    const [task] = (await database.pool.release()) ?? [];
    if (task === undefined) throw new Error('nothing released');
    await database.jobs.requestCancel(DEFAULT_TEAM, id);
    expect(await database.pool.claim(task.taskId, task.attempt, 'wrk_a')).toBeNull();
  });

  it.each(['fail', 'succeed', 'requeue', 'expire'] as const)(
    'a running job is canceling until its worker lets go (%s), then canceled',
    async (way) => {
      const database = await postgres.open({ LEASE_SECONDS: 0.3 });
      const { id } = await createJob(database);
      const { taskId, attempt, ...rest } = await claimed(database);
      const woken: string[] = [];
      database.notifications.subscribe(`cancel:${id}`, () => woken.push('cancel'));
      await until('the listener is connected', () => woken.length > 0);
      woken.length = 0;
      const outcome = await database.jobs.requestCancel(DEFAULT_TEAM, id);
      expect(outcome).toMatchObject({ changed: true, job: { status: 'canceling' } });
      expect(await database.pool.heartbeat(taskId, attempt, { fraction: 0.5 })).toBe('cancel');
      await until('the worker is told', () => woken.length > 0, 5);
      if (way === 'fail') expect(await database.pool.fail(taskId, attempt, crash)).toBe('canceled');
      if (way === 'succeed') expect(await succeed(database, { taskId, attempt, ...rest })).toBe(false);
      if (way === 'requeue') expect(await database.pool.requeue(taskId, attempt)).toBe(true);
      if (way === 'expire')
        await until('the lease ends', async () => (await database.pool.reconcile(IN_QUEUE)).expiredLeases === 1);
      expect(await job(database, id)).toMatchObject({ status: 'canceled', error: null });
      expect(await claimNext(database)).toBeNull();
    },
  );

  it('a finished job stays as it is', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    for (let step = 0; step < 4; step++) await finishNext(database, 0);
    expect(await database.jobs.requestCancel(DEFAULT_TEAM, id)).toMatchObject({
      changed: false,
      job: { status: 'succeeded' },
    });
  });
});

describe('retry', () => {
  it('goes on with what was not finished, at new attempts, and keeps finished layers', async () => {
    const database = await postgres.open({ TASK_ATTEMPTS: 1 });
    const { id } = await createJob(database);
    await finishNext(database, 2);
    await finishNext(database, 2);
    await finishNext(database, 2);
    const second = await claimed(database);
    await database.pool.fail(second.taskId, second.attempt, crash);
    const before = await job(database, id);

    const again = await database.jobs.retry(DEFAULT_TEAM, id);
    expect(again).toMatchObject({ status: 'queued', error: null, finishedAt: null, progress: { layersDone: 1 } });
    expect(again?.version).toBeGreaterThan(before.version);
    const resumed = await claimed(database);
    expect(resumed).toMatchObject({ taskId: second.taskId, kind: 'layer', layer: 1, attempt: second.attempt + 1 });
    const names = (task: Assignment) => task.finished.map(({ kind, layer }) => `${kind} ${layer}`);
    // A layer is told of what it builds on, not of the other layers.
    expect(names(resumed)).toEqual(['inspect null', 'plan null']);
    expect(await succeed(database, resumed)).toBe(true);
    expect(names(await finishNext(database, 2))).toEqual(['inspect null', 'plan null', 'layer 0', 'layer 1']);
    await finishNext(database, 2);
    expect(await job(database, id)).toMatchObject({ status: 'succeeded' });
    const layers = await database.layers.list(DEFAULT_TEAM, id);
    expect(layers?.map((layer) => layer.attempt)).toEqual([1, 2]);
  });

  it('is refused while the job is not failed or canceled', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    await expect(database.jobs.retry(DEFAULT_TEAM, id)).rejects.toMatchObject({ code: 'conflict' });
    await database.jobs.requestCancel(DEFAULT_TEAM, id);
    expect(await database.jobs.retry(DEFAULT_TEAM, id)).toMatchObject({ status: 'queued' });
  });

  it('a late result of the canceled attempt is refused after the retry', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    const late = await claimed(database);
    await database.jobs.requestCancel(DEFAULT_TEAM, id);
    await database.pool.fail(late.taskId, late.attempt, crash);
    await database.jobs.retry(DEFAULT_TEAM, id);
    expect(await succeed(database, late)).toBe(false);
    expect((await claimed(database)).attempt).toBe(late.attempt + 1);
  });

  it('is refused when an upload that it reads is gone, even one that would not be read again', async () => {
    const database = await postgres.open();
    const { id, inputs } = await createJob(database);
    await database.jobs.requestCancel(DEFAULT_TEAM, id);
    await runSql(database.url, "update uploads set expires_at = now() - interval '1 second' where storage_key = $1", [
      inputs.calibration.key,
    ]);
    expect(await database.pool.expire(10)).toEqual([inputs.calibration.key]);
    await expect(database.jobs.retry(DEFAULT_TEAM, id)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('its calibration is not stored any more (UPLOAD_TTL_DAYS = 30)') as string,
    });
    expect(await job(database, id)).toMatchObject({ status: 'canceled' });
    // The same content under the same key serves.
    await database.uploads.create(DEFAULT_TEAM, inputs.calibration);
    expect(await database.jobs.retry(DEFAULT_TEAM, id)).toMatchObject({ status: 'queued' });
  });

  it('works with times to live that are no whole days', async () => {
    const database = await postgres.open({ ARTIFACT_TTL_DAYS: 0.5 });
    const { id } = await createJob(database);
    await finishNext(database, 2);
    await database.jobs.requestCancel(DEFAULT_TEAM, id);
    expect((await database.pool.filesInUse([id])).get(id)?.inUse).toHaveLength(1);
    expect(await database.jobs.retry(DEFAULT_TEAM, id)).toMatchObject({ status: 'queued' });
    await database.jobs.requestCancel(DEFAULT_TEAM, id);
    await runSql(database.url, "update jobs set finished_at = now() - interval '13 hours'");
    expect((await database.pool.filesInUse([id])).get(id)?.inUse).toEqual([]);
  });

  it('keeps uploads whose time is over but which are still there', async () => {
    const database = await postgres.open();
    const { id, inputs } = await createJob(database);
    await database.jobs.requestCancel(DEFAULT_TEAM, id);
    await runSql(database.url, "update uploads set expires_at = now() - interval '1 second'");
    await database.jobs.retry(DEFAULT_TEAM, id);
    expect(await database.pool.expire(10)).toEqual([]);
    expect(await database.uploads.findByHash(DEFAULT_TEAM, inputs.model.sha256)).not.toBeNull();
  });
});

describe('the clocks', () => {
  it('count waiting and running apart, and device time over all devices', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    await finishNext(database, 2);
    await finishNext(database, 2);
    // The database's own clock is what counts: real time has to pass.
    await sleep(300);
    const layers = [await claimed(database, 'wrk_a'), await claimed(database, 'wrk_b')];
    const before = (await job(database, id)).seconds;
    await sleep(500);
    for (const layer of layers) await succeed(database, layer);
    const after = (await job(database, id)).seconds;
    expect(before.queued).toBeGreaterThan(0.29);
    expect(after.running - before.running).toBeGreaterThan(0.49);
    expect(after.device - before.device).toBeGreaterThan(0.98);
    expect(after.queued - before.queued).toBeLessThan(0.4);
  });

  it('progress of a running task shows in the job and changes its version', async () => {
    const database = await postgres.open();
    const { id } = await createJob(database);
    const { taskId, attempt } = await claimed(database);
    const before = await job(database, id);
    await database.pool.heartbeat(taskId, attempt, { fraction: 0.001 });
    expect((await job(database, id)).version).toBe(before.version);
    await database.pool.heartbeat(taskId, attempt, { fraction: 0.5 });
    const after = await job(database, id);
    expect(after.version).toBeGreaterThan(before.version);
    expect(after.progress.fraction).toBeGreaterThan(before.progress.fraction);
  });
});
