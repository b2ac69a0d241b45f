import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import type { Database } from '../../src/database/repositories.js';
import { canRun, workerClassOf, needsOf, type Offer } from '../../src/scheduling/worker-classes.js';
import type { Resources } from '../../src/jobs/spec.js';
import { createJob, testSpec } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { addTeam, runSql } from '../support/teams.js';
import { openSimulated } from './support/simulated-clock.js';
import { SimulatedPool } from './support/simulated-pool.js';

/** Which workers get which tasks, through the SQL that the service runs. */

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

const GIB = 2 ** 30;
const cpu: Offer = { engine: 'onnxruntime', class: null, deviceMemoryBytes: 0 };
const gpu: Offer = { engine: 'tensorflow', class: 'gpu', deviceMemoryBytes: 16 * GIB };
const large: Offer = { engine: 'tensorflow', class: 'gpu', deviceMemoryBytes: 80 * GIB };
const onGpu = { class: 'gpu' };

const add = (database: Database, id: string, offer: Offer, slots = 1) =>
  database.workers.upsert({ id, ...offer, device: 'test', threads: 1, slots });
const askFor = (database: Database, resources: Resources, team = DEFAULT_TEAM) =>
  createJob(database, { spec: { ...testSpec(), resources } }, team);
const classes = async (database: Database) =>
  ((await database.pool.release()) ?? []).map(({ workerClass }) => workerClass);

describe('a job that asks for something', () => {
  it.each<[string, Resources, Offer[]]>([
    ['an engine', { engine: 'tensorflow' }, [gpu, large]],
    ['the other engine', { engine: 'onnxruntime' }, [cpu]],
    ['device memory', { device_memory_bytes: 40 * GIB }, [large]],
    ['a class', { class: 'gpu' }, [gpu, large]],
    ['all of it', { engine: 'tensorflow', device_memory_bytes: 1, class: 'gpu' }, [gpu, large]],
    ['what nobody has', { class: 'tpu' }, []],
    ['what nobody has together', { engine: 'onnxruntime', class: 'gpu' }, []],
    ['nothing', {}, [cpu, gpu, large]],
  ])('(%s) is released to workers that have it, and to no other', async (_, resources, expected) => {
    for (const offer of [cpu, gpu, large]) {
      const database = await postgres.open();
      await add(database, 'wrk_a', offer);
      await askFor(database, resources);
      expect(await classes(database)).toEqual(expected.includes(offer) ? [workerClassOf(offer)] : []);
    }
  });

  it('is matched in the database as in the rules', async () => {
    const client = new pg.Client({ connectionString: await postgres.createDatabase() });
    await client.connect();
    const offer = fc.record({
      engine: fc.constantFrom('onnxruntime', 'tensorflow'),
      class: fc.constantFrom(null, 'gpu', 'big'),
      deviceMemoryBytes: fc.constantFrom(0, GIB, 2 ** 50),
    });
    const needs = fc.record(
      {
        engine: fc.constantFrom('onnxruntime' as const, 'tensorflow' as const),
        class: fc.constantFrom('gpu', 'big'),
        device_memory_bytes: fc.constantFrom(1, GIB, GIB + 1, 2 ** 50),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(needs, offer, async (resources, worker) => {
        const wanted = needsOf({ resources });
        const { rows } = await client.query<{ can: boolean }>('select sparank_can_run($1, $2, $3, $4) as can', [
          wanted === null ? null : JSON.stringify(wanted),
          worker.engine,
          worker.deviceMemoryBytes,
          worker.class,
        ]);
        expect(rows[0]?.can).toBe(canRun(wanted, worker));
      }),
      { seed: 1, numRuns: 300 },
    );
    await client.end();
  });

  it('waits with the reason while there is no such worker, and is released when one comes', async () => {
    const database = await postgres.open();
    await add(database, 'wrk_cpu', cpu);
    const job = await askFor(database, onGpu);
    expect(await classes(database)).toEqual([]);
    expect(await database.jobs.place(job)).toMatchObject({ reason: 'no_such_worker', expectedStartSeconds: null });
    expect((await database.pool.overview()).tasks).toMatchObject({ waiting: 1, unmatched: 1 });
    await add(database, 'wrk_gpu', gpu);
    expect(await classes(database)).toEqual([workerClassOf(gpu)]);
    const again = await postgres.openAgain(database);
    expect(await again.jobs.place(job)).toMatchObject({ position: 1, reason: 'waiting_for_worker' });
  });

  it('stands behind those that want the same workers only', async () => {
    const database = await postgres.open();
    for (const [id, offer] of [
      ['a', cpu],
      ['b', gpu],
    ] as const)
      await add(database, id, offer);
    for (let i = 0; i < 3; i++) await askFor(database, { engine: 'onnxruntime' });
    await createJob(database);
    expect(await database.jobs.place(await askFor(database, onGpu))).toMatchObject({ position: 2 });
  });

  it('is taken back from workers that are gone, and the message that is left is refused', async () => {
    const database = await postgres.open();
    await add(database, 'wrk_gpu', gpu);
    await add(database, 'wrk_large', large);
    await askFor(database, { device_memory_bytes: 20 * GIB });
    const [first] = (await database.pool.release()) ?? [];
    expect(first?.workerClass).toBe(workerClassOf(large));
    await runSql(database.url, "update workers set last_seen_at = now() - interval '2 minutes' where id = 'wrk_large'");
    expect(await database.pool.release()).toEqual([]);
    expect(await database.pool.claim(first?.taskId ?? '', first?.attempt ?? 0, 'wrk_large')).toBeNull();
    expect((await database.pool.overview()).tasks).toMatchObject({ waiting: 1, released: 0, unmatched: 1 });
  });

  it('is not given to a worker that has become another one', async () => {
    const database = await postgres.open();
    await add(database, 'wrk_a', gpu);
    await askFor(database, onGpu);
    const [task] = (await database.pool.release()) ?? [];
    await add(database, 'wrk_a', cpu);
    expect(await database.pool.claim(task?.taskId ?? '', task?.attempt ?? 0, 'wrk_a')).toBeNull();
    await add(database, 'wrk_a', gpu);
    expect(await database.pool.claim(task?.taskId ?? '', task?.attempt ?? 0, 'wrk_a')).not.toBeNull();
  });
});

describe('several classes', () => {
  it('hundreds of jobs for one do not keep the other one idle', async () => {
    const database = await openSimulated(postgres);
    const pool = await SimulatedPool.open(database, {
      slots: 2,
      workers: [cpu, gpu].map((offer) => ({ ...offer, slots: 1 })),
      layers: 2,
      cost: () => 5,
    });
    await pool.submit(DEFAULT_TEAM, 300, { engine: 'onnxruntime' });
    await pool.submit(DEFAULT_TEAM, 1, onGpu);
    await pool.steps(12);
    const on = (id: string) => pool.starts.filter(({ workerId }) => workerId === id).length;
    expect(on('wrk_sim0')).toBeGreaterThanOrEqual(6);
    expect(on('wrk_sim1')).toBe(6);
    await pool.close();
  });

  it('a free place takes over what stands in the queue of another class', async () => {
    const database = await postgres.open();
    await add(database, 'wrk_gpu', gpu);
    for (let i = 0; i < 2; i++) await createJob(database);
    const [first, second] = (await database.pool.release()) ?? [];
    expect([first?.workerClass, second?.workerClass]).toEqual([workerClassOf(gpu), workerClassOf(gpu)]);
    expect(await database.pool.claim(first?.taskId ?? '', first?.attempt ?? 0, 'wrk_gpu')).not.toBeNull();
    await add(database, 'wrk_cpu', cpu);
    expect(await database.pool.release()).toEqual([
      { taskId: second?.taskId, attempt: 2, workerClass: workerClassOf(cpu) },
    ]);
    expect(await database.pool.claim(second?.taskId ?? '', 1, 'wrk_gpu')).toBeNull();
    expect(await database.pool.claim(second?.taskId ?? '', 2, 'wrk_cpu')).not.toBeNull();
    expect(await database.pool.release()).toEqual([]);
  });

  it('the limit of a team counts over all of them', async () => {
    const database = await postgres.open();
    await database.teams.update(DEFAULT_TEAM, { limits: { runningTasks: 3 } });
    await add(database, 'wrk_cpu', cpu, 4);
    await add(database, 'wrk_gpu', gpu, 4);
    for (let i = 0; i < 4; i++) await askFor(database, { engine: 'onnxruntime' });
    for (let i = 0; i < 4; i++) await askFor(database, onGpu);
    expect(await classes(database)).toHaveLength(3);
    expect(await classes(database)).toEqual([]);
  });

  it('each of them is shared by weight, whatever a team uses elsewhere; no place of either is idle', async () => {
    const database = await openSimulated(postgres);
    const heavy = await addTeam(database.url, 'team_heavy', 3);
    const pool = await SimulatedPool.open(database, {
      slots: 3,
      workers: [
        { ...cpu, slots: 2 },
        { ...gpu, slots: 1 },
      ],
      layers: 16,
      cost: ({ spec }) => (spec.resources === undefined ? 4 : 2),
    });
    // The light team has the plain workers for itself for a while, then both want both.
    await pool.submit(DEFAULT_TEAM, 12);
    await pool.submit(DEFAULT_TEAM, 4, onGpu);
    await pool.submit(heavy, 10, onGpu);
    await pool.steps(140);
    const starts = pool.starts.filter(({ workerId }) => workerId === 'wrk_sim1');
    const total = (of: typeof starts) => of.reduce((sum, { seconds }) => sum + seconds, 0);
    const shareOfHeavy = total(starts.filter(({ teamId }) => teamId === heavy)) / total(starts);
    console.log(`${total(starts)} s on the GPU, ${(100 * shareOfHeavy).toFixed(1)} % of them of the team of weight 3`);
    expect(Math.abs(shareOfHeavy / 0.75 - 1)).toBeLessThan(0.1);
    await pool.close();
  });
});
