import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { remembered } from '../../src/database/connection/remembered.js';
import { type Database, DEFAULT_TEAM } from '../../src/database/index.js';
import { createJob, newJob } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { addTeam, runSql } from '../support/teams.js';
import { until } from '../support/until.js';

const SECOND = 1_000;
/** Nothing gets old while a test runs. */
beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());
const later = (ms: number) => vi.advanceTimersByTime(ms);

const list = { limit: 50 };

describe('what is remembered', () => {
  const callbacks = new Map<string, Set<() => void>>();
  const subscribe = (topic: string, callback: () => void) => {
    const all = callbacks.get(topic) ?? new Set();
    callbacks.set(topic, all.add(callback));
    return () => void all.delete(callback);
  };
  const notify = (topic: string) => [...(callbacks.get(topic) ?? [])].forEach((callback) => callback());
  const following = (topic: string) => callbacks.get(topic)?.size ?? 0;
  beforeEach(() => callbacks.clear());

  it('is found without looking, until it changes or a second is over', async () => {
    const known = remembered<{ n: number }>({ subscribe }, 10);
    let looks = 0;
    const find = () => known.find('a', ['x', 'y'], async () => ({ n: ++looks }));
    expect(known.known('a')).toBeUndefined();
    expect(await find()).toEqual({ n: 1 });
    expect(await find()).toEqual({ n: 1 });
    expect(known.known('a')).toEqual({ n: 1 });
    notify('y');
    expect(known.known('a')).toBeUndefined();
    expect(await find()).toEqual({ n: 2 });
    later(SECOND - 1);
    expect(await find()).toEqual({ n: 2 });
    expect(known.known('a')).toEqual({ n: 2 });
    later(1);
    expect(known.known('a')).toBeUndefined();
    expect(await find()).toEqual({ n: 3 });
    known.forget('a');
    expect(await find()).toEqual({ n: 4 });
  });

  it('was read after the last change: what changes while it is read is read again', async () => {
    const known = remembered<{ n: number }>({ subscribe }, 10);
    const slow = known.find('a', ['x'], async () => {
      notify('x');
      return { n: 1 };
    });
    expect(await slow).toEqual({ n: 1 });
    expect(await known.find('a', ['x'], async () => ({ n: 2 }))).toEqual({ n: 2 });
    expect(await known.find('a', ['x'], async () => ({ n: 3 }))).toEqual({ n: 2 });
  });

  it('is looked for once by all who ask while it is, however long it takes', async () => {
    const known = remembered<{ n: number }>({ subscribe }, 10);
    let looks = 0;
    const slow = async () => {
      await new Promise(setImmediate);
      return { n: ++looks };
    };
    const found = await Promise.all([1, 2, 3].map(() => known.find('a', ['x'], slow)));
    expect(found).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }]);
    expect(await known.find('a', ['x'], slow)).toEqual({ n: 1 });
    expect(following('x')).toBe(1);
    // But that nothing is there, only by the one who looked.
    let there = false;
    const late = async () => {
      const seen = there;
      there = true;
      await new Promise(setImmediate);
      return seen ? { n: 7 } : null;
    };
    expect(await Promise.all([1, 2].map(() => known.find('b', ['x'], late)))).toEqual([null, { n: 7 }]);
  });

  it('is never that nothing is there, nor an error', async () => {
    const known = remembered<{ n: number }>({ subscribe }, 10);
    expect(await known.find('a', ['x'], async () => null)).toBeNull();
    expect(following('x')).toBe(0);
    await expect(known.find('a', ['x'], () => Promise.reject(new Error('no database')))).rejects.toThrow('no database');
    expect(await known.find('a', ['x'], async () => ({ n: 1 }))).toEqual({ n: 1 });
  });

  it('follows no more topics than there are entries', async () => {
    const known = remembered<{ n: number }>({ subscribe }, 3);
    for (let i = 0; i < 20; i++) await known.find(`${i}`, ['x'], async () => ({ n: i }));
    expect(following('x')).toBe(3);
    known.forget();
    expect(following('x')).toBe(0);
  });
});

describe('polls that find nothing new', () => {
  let postgres: TestPostgres;
  let here: Database;
  let elsewhere: Database;
  beforeAll(async () => {
    postgres = await startPostgres();
    here = await postgres.open();
    elsewhere = await postgres.openAgain(here);
    // Whoever subscribes is called once the connection is there, which makes everything be forgotten.
    await new Promise<void>((listening) => here.notifications.subscribe('keys', () => listening()));
  });
  afterAll(() => postgres.stop());

  const statusOf = async (id: string) => (await here.jobs.brief(DEFAULT_TEAM, id))?.status;

  it('ask the database once', async () => {
    const told = new Promise<void>((resolve) => here.notifications.subscribe(`team:${DEFAULT_TEAM}`, () => resolve()));
    const { id } = await createJob(here);
    await told;
    const [brief, digest] = [await here.jobs.brief(DEFAULT_TEAM, id), await here.jobs.digest(DEFAULT_TEAM, list)];
    // Without a word to anybody, which no part of the service does.
    await runSql(
      here.url,
      `with quiet as materialized (select set_config('sparank.quiet', 'on', true) as it)
        update jobs set fraction = 0.5 from quiet where id = $1 and quiet.it = 'on'`,
      [id],
    );
    expect(await here.jobs.brief(DEFAULT_TEAM, id)).toEqual(brief);
    expect(await here.jobs.digest(DEFAULT_TEAM, list)).toBe(digest);
    later(SECOND);
    expect((await here.jobs.brief(DEFAULT_TEAM, id))?.version).toBe((brief?.version ?? 0) + 1);
    expect(await here.jobs.digest(DEFAULT_TEAM, list)).not.toBe(digest);
  });

  it('see at once what was read of the job as a whole', async () => {
    for (const read of [(id: string) => here.jobs.get(DEFAULT_TEAM, id), (id: string) => here.jobs.find(id)]) {
      const { id } = await createJob(here);
      const brief = await here.jobs.brief(DEFAULT_TEAM, id);
      await runSql(
        here.url,
        `with quiet as materialized (select set_config('sparank.quiet', 'on', true) as it)
          update jobs set fraction = 0.5 from quiet where id = $1 and quiet.it = 'on'`,
        [id],
      );
      const job = await read(id);
      expect(job?.version).toBe((brief?.version ?? 0) + 1);
      expect((await here.jobs.brief(DEFAULT_TEAM, id))?.version).toBe(job?.version);
    }
  });

  it('see at once what this process changed', async () => {
    const { id } = await createJob(here);
    expect(await statusOf(id)).toBe('queued');
    const before = await here.jobs.digest(DEFAULT_TEAM, list);
    await here.jobs.requestCancel(DEFAULT_TEAM, id);
    expect(await statusOf(id)).toBe('canceled');
    const canceled = await here.jobs.digest(DEFAULT_TEAM, list);
    expect(canceled).not.toBe(before);
    await here.jobs.retry(DEFAULT_TEAM, id);
    expect(await statusOf(id)).toBe('queued');
    await here.jobs.requestCancel(DEFAULT_TEAM, id);
    await here.jobs.remove(DEFAULT_TEAM, id);
    expect(await statusOf(id)).toBeUndefined();
    const removed = await here.jobs.digest(DEFAULT_TEAM, list);
    await createJob(here);
    expect(await here.jobs.digest(DEFAULT_TEAM, list)).not.toBe(removed);
  });

  it('see what another process changed once the database says so', async () => {
    const { id } = await createJob(here);
    expect(await statusOf(id)).toBe('queued');
    const before = await here.jobs.digest(DEFAULT_TEAM, list);
    await elsewhere.jobs.requestCancel(DEFAULT_TEAM, id);
    await until('the cancel is seen', async () => (await statusOf(id)) === 'canceled');
    await until('the list is another', async () => (await here.jobs.digest(DEFAULT_TEAM, list)) !== before);
    const canceled = await here.jobs.digest(DEFAULT_TEAM, list);
    await elsewhere.jobs.remove(DEFAULT_TEAM, id);
    await until('the job is gone', async () => (await statusOf(id)) === undefined);
    await until('the list is another', async () => (await here.jobs.digest(DEFAULT_TEAM, list)) !== canceled);
  });

  it('are told of a job that another process made, and so is who hands out its task', async () => {
    const before = await here.jobs.digest(DEFAULT_TEAM, list);
    const told = (topic: string) =>
      new Promise<void>((resolve) => here.notifications.subscribe(topic, () => resolve()));
    const both = Promise.all([told(`team:${DEFAULT_TEAM}`), told('tasks')]);
    await createJob(elsewhere);
    await both;
    expect(await here.jobs.digest(DEFAULT_TEAM, list)).not.toBe(before);
  });

  it('tell another team nothing, whoever asked first', async () => {
    const { id } = await createJob(here);
    const other = await addTeam(here.url, 'another');
    expect(await here.jobs.brief(other, id)).toBeNull();
    expect(await statusOf(id)).toBe('queued');
    expect(await here.jobs.brief(other, id)).toBeNull();
    expect(await here.jobs.digest(other, list)).not.toBe(await here.jobs.digest(DEFAULT_TEAM, list));
  });
});

describe('uploads that submissions name', () => {
  let postgres: TestPostgres;
  beforeAll(async () => void (postgres = await startPostgres()));
  afterAll(() => postgres.stop());

  it('are found at once when they come, and are gone at once when this process removes them', async () => {
    const here = await postgres.open();
    const elsewhere = await postgres.openAgain(here);
    const sha256 = 'a'.repeat(64);
    const name = `sha256:${sha256}`;
    const find = async () => (await here.uploads.find(DEFAULT_TEAM, [name])).map(({ id }) => id);
    expect(await find()).toEqual([]);
    const { upload } = await elsewhere.uploads.create(DEFAULT_TEAM, { sha256, key: 'a', bytes: 1, filename: 'a' });
    expect(await find()).toEqual([upload.id]);
    expect(await here.uploads.find(DEFAULT_TEAM, [name, 'upl_none'])).toHaveLength(1);
    await here.uploads.remove(DEFAULT_TEAM, upload.id);
    expect(await find()).toEqual([]);
  });

  it('that another process removed make no job', async () => {
    const here = await postgres.open();
    const elsewhere = await postgres.openAgain(here);
    const sha256 = 'b'.repeat(64);
    const { upload } = await here.uploads.create(DEFAULT_TEAM, { sha256, key: 'b', bytes: 1, filename: 'b' });
    const [found] = await here.uploads.find(DEFAULT_TEAM, [upload.id]);
    await elsewhere.uploads.remove(DEFAULT_TEAM, upload.id);
    const input = { key: found?.key ?? '', bytes: 1, sha256, filename: 'b' };
    const inputs = { model: input, calibration: input, evaluation: null };
    await expect(here.jobs.create(DEFAULT_TEAM, newJob({ inputs }))).rejects.toMatchObject({ code: 'conflict' });
    expect(await here.jobs.count(DEFAULT_TEAM, list)).toBe(0);
  });
});
