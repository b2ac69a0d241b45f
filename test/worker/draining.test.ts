import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readConfig } from '../../src/config/index.js';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { startRelay } from '../../src/maintenance/relay.js';
import { openQueue } from '../../src/queue/index.js';
import { LocalStorage } from '../../src/storage/local-storage.js';
import { startWorker } from '../../src/worker/worker.js';
import { quietLog } from '../support/log.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { until } from '../support/until.js';
import { STEPS } from './request.js';
import { createWorkableJob } from './rig.js';

let postgres: TestPostgres;
let directory: string;
beforeAll(async () => {
  postgres = await startPostgres();
  directory = await mkdtemp(join(tmpdir(), 'sparank-draining-'));
});
afterAll(async () => {
  await postgres.stop();
  await rm(directory, { recursive: true, force: true });
});

test('a draining worker leaves every task to the others, and takes them again when that is undone', async () => {
  const config = readConfig({ DATA_DIR: directory });
  const database = await postgres.open(config);
  const queue = openQueue({}, database.url, quietLog);
  const storage = await LocalStorage.open(join(directory, 'storage'));
  const relay = startRelay({ database, queue, logger: quietLog });
  const start = (told = database.notifications) =>
    startWorker({
      config,
      database: { ...database, notifications: told },
      queue,
      storage,
      logger: pino({ level: 'silent' }),
      metrics: createMetrics(),
      module: STEPS,
      filesNeeded: ({ finished }) => finished.flatMap(({ files }) => files),
    });
  const ended = (id: string) => async () => (await database.jobs.get(DEFAULT_TEAM, id))?.status === 'succeeded';
  const first = await start();
  await until('it takes tasks', ended(await createWorkableJob(database)));

  // Its own answer to that comes with its next sign of life.
  const signs: boolean[] = [];
  const { upsert } = database.workers;
  database.workers.upsert = async (worker) => {
    const answer = await upsert(worker);
    if (worker.id === first.id) signs.push(answer.draining);
    return answer;
  };
  await database.workers.drain(first.id, true);
  await until('it knows', () => signs.includes(true));
  const second = await start();
  const jobs = await Promise.all([1, 2, 3].map(() => createWorkableJob(database)));
  for (const id of jobs) await until('the other one does it', ended(id));
  const workersOf = async (id: string) => {
    const page = await database.events.list(DEFAULT_TEAM, id, { limit: 100 });
    return new Set(page?.data.flatMap(({ data }) => (data['worker_id'] === undefined ? [] : [data['worker_id']])));
  };
  for (const id of jobs) expect(await workersOf(id)).toEqual(new Set([second.id]));

  await database.workers.drain(first.id, false);
  await database.workers.drain(second.id, true);
  const last = await createWorkableJob(database);
  await until('it is done', ended(last));

  // One that nobody tells takes a message, gets nothing for it, and knows then.
  const { subscribe } = database.notifications;
  const third = await start({
    ...database.notifications,
    subscribe: (topic, callback) => (topic.startsWith('worker:') ? () => undefined : subscribe(topic, callback)),
  });
  await database.workers.drain(first.id, true);
  await until('it takes tasks', ended(await createWorkableJob(database)));
  await database.workers.drain(third.id, true);
  await database.workers.drain(second.id, false);
  for (const id of await Promise.all([1, 2, 3].map(() => createWorkableJob(database)))) {
    await until('the other one does it', ended(id));
    expect(await workersOf(id)).toEqual(new Set([second.id]));
  }
  await Promise.all([first.close(1), second.close(1), third.close(1)]);
  await relay.close();
  await queue.close();
});
