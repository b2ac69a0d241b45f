import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import type { Database } from '../../src/database/repositories.js';
import { startReconciler } from '../../src/maintenance/reconciler.js';
import { startRelay } from '../../src/maintenance/relay.js';
import { openQueue, type TaskMessage, type TaskQueue } from '../../src/queue/index.js';
import { relayOnce } from '../../src/maintenance/relay.js';
import { createJob, stepFile, stepResult } from '../support/jobs.js';
import { quietLog } from '../support/log.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { until } from '../support/until.js';

export interface BackendUnderTest {
  /** Absent: the queue lives in PostgreSQL. */
  redisUrl?: string;
  /** Everything the queue holds is gone, at any moment. */
  flush(postgres: TestPostgres, database: Database): Promise<void>;
}

const LAYERS = 3;
const message = (n: number): TaskMessage => ({ taskId: `tsk_test${n}`, attempt: 1 });

/** What the service expects of a queue: the same promises on every backend, on real servers. */
export function queueSuite(name: string, setUp: () => Promise<BackendUnderTest>): void {
  describe(name, () => {
    let postgres: TestPostgres;
    let backend: BackendUnderTest;
    const cleanups: (() => Promise<void>)[] = [];

    beforeAll(async () => {
      postgres = await startPostgres();
      backend = await setUp();
    });
    afterEach(async () => {
      for (let undo = cleanups.pop(); undo !== undefined; undo = cleanups.pop()) await undo();
    });
    afterAll(() => postgres.stop());

    const openOn = (database: Database): TaskQueue => {
      const config = backend.redisUrl === undefined ? {} : { REDIS_URL: backend.redisUrl };
      const queue = openQueue(config, database.url, quietLog);
      cleanups.push(() => queue.close());
      return queue;
    };
    const begin = async (settings: Parameters<TestPostgres['open']>[0] = {}) => {
      const database = await postgres.open(settings);
      if (backend.redisUrl !== undefined) await backend.flush(postgres, database);
      return { database, queue: openOn(database) };
    };
    const maintain = (database: Database, queue: TaskQueue) => {
      const loops = [
        startRelay({ database, queue, logger: quietLog }),
        startReconciler({ database, queue, logger: quietLog, intervalMs: 200 }),
      ];
      cleanups.push(async () => {
        await Promise.all(loops.map((loop) => loop.close()));
      });
    };
    /** A worker as the service has it, only without the computing. */
    const work = async (
      database: Database,
      queue: TaskQueue,
      workerId: string,
      before: (kind: string) => Promise<void> = async () => undefined,
    ) => {
      await database.workers.upsert({ id: workerId, engine: 'onnxruntime', device: 'cpu', threads: 1, slots: 1 });
      const consumer = await queue.consume(
        async ({ taskId, attempt }) => {
          const assignment = await database.pool.claim(taskId, attempt, workerId);
          if (assignment === null) return;
          await before(assignment.kind);
          const files = assignment.kind === 'evaluate' ? [stepFile('model.onnx')] : [];
          await database.pool.succeed(taskId, attempt, { result: stepResult(assignment, LAYERS), files });
        },
        { concurrency: 1 },
      );
      cleanups.push(() => consumer.close(5));
      return consumer;
    };
    const status = async (database: Database, jobId: string) => (await database.jobs.get(DEFAULT_TEAM, jobId))?.status;
    const attempts = async (database: Database, jobId: string) =>
      ((await database.layers.list(DEFAULT_TEAM, jobId)) ?? []).map((layer) => layer.attempt);

    it('a consumer that is paused takes nothing, and goes on when it is resumed', async () => {
      const { queue } = await begin();
      const taken: Record<string, string[]> = { first: [], second: [] };
      const consume = async (who: string) => {
        const note = async ({ taskId }: TaskMessage) => void taken[who]?.push(taskId);
        const consumer = await queue.consume(note, { concurrency: 1 });
        cleanups.push(() => consumer.close(5));
        return consumer;
      };
      const first = await consume('first');
      await queue.add(message(1));
      await until('the first message is taken', () => taken['first']?.length === 1);
      await first.pause();
      const second = await consume('second');
      for (let n = 2; n <= 6; n++) await queue.add(message(n));
      await until('the other one has taken all', () => taken['second']?.length === 5);
      expect(taken['first']).toHaveLength(1);
      await second.pause();
      first.resume();
      await queue.add(message(7));
      await until('the first one goes on', () => taken['first']?.length === 2);
    });

    it('hands out each message once, and keeps adding one that is there without effect', async () => {
      const { queue } = await begin();
      const seen: TaskMessage[] = [];
      for (const n of [1, 2, 2, 3, 1]) await queue.add(message(n));
      expect(await queue.depth()).toEqual({ waiting: 3, active: 0 });
      expect(await queue.has(message(2))).toBe(true);
      expect(await queue.has(message(4))).toBe(false);
      expect(await queue.has({ ...message(2), attempt: 2 })).toBe(false);
      const consumer = await queue.consume(async (m) => void seen.push(m), { concurrency: 2 });
      await until('three messages', () => seen.length === 3);
      await until('an empty queue', async () => !(await queue.has(message(2))) && (await queue.depth()).active === 0);
      expect(seen.map((m) => m.taskId).sort()).toEqual(['tsk_test1', 'tsk_test2', 'tsk_test3']);
      expect(await queue.depth()).toEqual({ waiting: 0, active: 0 });
      await consumer.close(1);
    });

    it('takes many messages at once, in their order, and adds none twice', async () => {
      const { queue } = await begin();
      const seen: string[] = [];
      await queue.add(message(2));
      await queue.addAll([1, 2, 3, 4].map(message));
      await queue.addAll([]);
      expect(await queue.depth()).toEqual({ waiting: 4, active: 0 });
      const consumer = await queue.consume(async (m) => void seen.push(m.taskId), { concurrency: 1 });
      await until('four messages', () => seen.length === 4);
      expect(seen).toEqual(['tsk_test2', 'tsk_test1', 'tsk_test3', 'tsk_test4']);
      await consumer.close(1);
    });

    it('hands the messages of a class to its workers only', async () => {
      const { queue } = await begin();
      const seen: Record<string, string[]> = { plain: [], gpu: [] };
      const workerClass = 'tensorflow.class-gpu.memory-17179869184';
      await queue.consume(async ({ taskId }) => void seen['plain']?.push(taskId), { concurrency: 1 });
      await queue.add({ ...message(1), workerClass });
      await queue.add(message(2));
      await until('the plain message', () => seen['plain']?.length === 1);
      await queue.add(message(3));
      await until('another plain message', () => seen['plain']?.length === 2);
      expect(await queue.has({ ...message(1), workerClass })).toBe(true);
      expect(await queue.depth([workerClass])).toEqual({ waiting: 1, active: 0 });
      await queue.consume(async ({ taskId }) => void seen['gpu']?.push(taskId), { concurrency: 1, workerClass });
      await until('the other message', () => seen['gpu']?.length === 1);
      expect(seen).toEqual({ plain: ['tsk_test2', 'tsk_test3'], gpu: ['tsk_test1'] });
      expect(queue.boards([workerClass])).toHaveLength(2);
    });

    it('has a message while it is handled, and takes its id again afterwards', async () => {
      const { queue } = await begin();
      let finish = (): void => undefined;
      let handled = 0;
      await queue.consume(
        async () => {
          handled++;
          await new Promise<void>((resolve) => (finish = resolve));
        },
        { concurrency: 1 },
      );
      await queue.add(message(1));
      await until('the message is handled', () => handled === 1);
      expect(await queue.has(message(1))).toBe(true);
      finish();
      await until('the message is gone', async () => !(await queue.has(message(1))));
      await queue.add(message(1));
      await until('it is handled again', () => handled === 2);
      finish();
    });

    it('drops the message of a failing handler and goes on', async () => {
      const { queue } = await begin();
      const seen: string[] = [];
      await queue.consume(
        async ({ taskId }) => {
          seen.push(taskId);
          if (taskId === 'tsk_test1') throw new Error('broken');
        },
        { concurrency: 1 },
      );
      await queue.add(message(1));
      await queue.add(message(2));
      await until('both were handled', () => seen.length === 2);
      await until('none is left', async () => !(await queue.has(message(1))) && !(await queue.has(message(2))));
    });

    it('closes a consumer after the running handler, and at the deadline when it does not end', async () => {
      const { queue } = await begin();
      let [begun, handled] = [0, 0];
      let finish = (): void => undefined;
      const finished = new Promise<void>((resolve) => (finish = resolve));
      const quick = await queue.consume(async () => void (begun++, await finished, handled++), { concurrency: 1 });
      await queue.add(message(1));
      // Not the queue's word for it: a message may be on its way, and goes back then.
      await until('it is handled', () => begun === 1);
      const closed = quick.close(10).then(() => handled);
      finish();
      expect(await closed).toBe(1);

      let release = (): void => undefined;
      const stuck = await queue.consume(() => new Promise<void>((resolve) => (release = resolve)), { concurrency: 1 });
      await queue.add(message(2));
      await until('it is taken', async () => (await queue.depth()).active === 1);
      const closing = Date.now();
      await stuck.close(0.3);
      expect(Date.now() - closing).toBeLessThan(3000);
      release();
    });

    it('takes no more messages once it is paused', async () => {
      const { queue } = await begin();
      const seen: string[] = [];
      const consumer = await queue.consume(async ({ taskId }) => void seen.push(taskId), { concurrency: 1 });
      await queue.add(message(1));
      await until('the first is handled', () => seen.length === 1);
      await consumer.pause();
      await consumer.close(1);
      await queue.add(message(2));
      expect((await queue.depth()).waiting).toBe(1);
      const others: string[] = [];
      await queue.consume(async ({ taskId }) => void others.push(taskId), { concurrency: 1 });
      await until('another takes it', () => others.length === 1);
      expect(seen).toEqual(['tsk_test1']);
    });

    it('brings a job through with two relays and three workers, every task once', async () => {
      const { database, queue } = await begin();
      const second = await postgres.openAgain(database);
      maintain(database, queue);
      maintain(second, openOn(second));
      const { id } = await createJob(database);
      for (const worker of ['wrk_a', 'wrk_b', 'wrk_c']) await work(database, openOn(database), worker);
      await until('the job has succeeded', async () => (await status(database, id)) === 'succeeded');
      expect(await attempts(database, id)).toEqual([1, 1, 1]);
      const events = await database.events.list(DEFAULT_TEAM, id, { limit: 1000 });
      expect(events?.data.filter((event) => event.type === 'layer.finished')).toHaveLength(LAYERS);
      expect(events?.data.filter((event) => event.type === 'job.succeeded')).toHaveLength(1);
    });

    it('a relay that dies between marking a task and adding it loses nothing', async () => {
      const { database, queue } = await begin();
      const { id } = await createJob(database);
      // Marked released, and then nothing.
      expect(await database.pool.release()).toHaveLength(1);
      await work(database, queue, 'wrk_a');
      maintain(database, queue);
      await until('the job has succeeded', async () => (await status(database, id)) === 'succeeded');
    });

    it('a queue that loses everything in the middle of a job loses nothing of the job', async () => {
      const { database, queue } = await begin();
      const { id } = await createJob(database);
      let flushed = 0;
      await work(database, queue, 'wrk_a', async (kind) => {
        if (kind !== 'layer' || flushed > 1) return;
        flushed++;
        await backend.flush(postgres, database);
      });
      maintain(database, queue);
      await until('the job has succeeded', async () => (await status(database, id)) === 'succeeded', 28);
      expect(flushed).toBe(2);
      const events = await database.events.list(DEFAULT_TEAM, id, { limit: 1000 });
      expect(events?.data.filter((event) => event.type === 'layer.finished')).toHaveLength(LAYERS);
    });

    it('a job goes on after all connections to the database were cut, again and again', async () => {
      const { database, queue } = await begin();
      const { id } = await createJob(database);
      let cuts = 0;
      await work(database, queue, 'wrk_a', async () => {
        if (cuts++ < 3) await postgres.cutConnections(database.url);
      });
      maintain(database, queue);
      await until('the job has succeeded', async () => (await status(database, id)) === 'succeeded', 28);
      expect(cuts).toBeGreaterThan(3);
    });

    it('a message delivered twice, or of an older attempt, is claimed once', async () => {
      const { database, queue } = await begin();
      await createJob(database);
      expect(await relayOnce({ database, queue, logger: quietLog })).toEqual({ released: 1, refused: 0 });
      let delivered: TaskMessage | null = null;
      await queue.consume(async (m) => void (delivered = m), { concurrency: 1 });
      await until('the message arrives', () => delivered !== null);
      const { taskId, attempt } = delivered ?? message(0);
      const claims = await Promise.all(
        ['wrk_a', 'wrk_b', 'wrk_c'].map((worker) => database.pool.claim(taskId, attempt, worker)),
      );
      expect(claims.filter((claim) => claim !== null)).toHaveLength(1);
      expect(await database.pool.requeue(taskId, attempt)).toBe(true);
      expect(await database.pool.claim(taskId, attempt, 'wrk_d')).toBeNull();
    });
  });
}
