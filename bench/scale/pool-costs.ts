import type { Database } from '../../src/database/repositories.js';
import type { BenchPostgres } from '../load/postgres.js';
import { settle } from './seed.js';

const TURNS = 20;
const BEATS = 2000;
const SIGNS = 1000;
/** Tasks that end between two turns. */
const ENDS = 50;

/** Processor milliseconds, of this process and of PostgreSQL. */
interface Cpu {
  own: number;
  postgres: number;
}

export interface PoolCosts {
  /** Of the relay, that finds `ENDS` places free. */
  turn: Cpu;
  turnWallMs: number;
  /** A running task's sign of life. */
  beat: Cpu;
  /** A worker's. */
  sign: Cpu;
}

/** What a pool of any size costs beside its tasks: all its workers busy, and as many tasks at hand. */
export async function poolCosts(
  { query, cpuSeconds }: BenchPostgres,
  { pool, workers: registry }: Pick<Database, 'pool' | 'workers'>,
  workers: number,
): Promise<PoolCosts> {
  const worker = { engine: 'onnxruntime', device: 'cpu', threads: 1, slots: 1 };
  await settle(query);
  await query(
    `insert into workers (id, engine, device, threads, last_seen_at) select 'wrk_' || i, 'onnxruntime', 'cpu', 1, now() + interval '1 hour'
     from generate_series(1, $1::int) i`,
    [workers],
  );
  await query(`update teams set task_seconds = 60`);
  while (((await pool.release()) ?? []).length > 0);
  await query(
    `with taken as (select id, row_number() over () as n from tasks where state = 'released' limit $1)
     update tasks t set state = 'running', worker_id = 'wrk_' || taken.n, started_at = now(), heartbeat_at = now(),
       lease_until = now() + interval '1 hour' from taken where t.id = taken.id`,
    [workers],
  );
  await query('analyze tasks');
  const running = await query<{ id: string; attempt: number }>(
    `select id, attempt from tasks where state = 'running' limit $1`,
    [BEATS],
  );
  const costOf = async (times: number, work: (i: number) => Promise<unknown>, between = () => Promise.resolve()) => {
    const cost = { own: 0, postgres: 0, wall: 0 };
    for (let i = 0; i < times; i++) {
      await between();
      const [cpu, server, begun] = [process.cpuUsage(), cpuSeconds(), performance.now()];
      await work(i);
      const used = process.cpuUsage(cpu);
      cost.own += (used.user + used.system) / 1000 / times;
      cost.postgres += (1000 * (cpuSeconds() - server)) / times;
      cost.wall += (performance.now() - begun) / times;
    }
    return cost;
  };
  const inARow = (times: number, work: (i: number) => Promise<unknown>) =>
    costOf(1, async () => {
      for (let i = 0; i < times; i++) await work(i);
    }).then(({ own, postgres }) => ({ own: own / times, postgres: postgres / times }));
  const end = async () => {
    await query(
      `with ended as (select id from tasks where state = 'running' limit $1)
       update tasks t set state = 'succeeded', finished_at = now() from ended where t.id = ended.id`,
      [ENDS],
    );
    await query(`insert into charges (team_id, task_seconds) select id, 1 from teams limit $1`, [ENDS]);
    await query(
      `with next as (select id from tasks where state = 'released' limit $1)
       update tasks t set state = 'running', started_at = now(), worker_id = 'wrk_1' from next where t.id = next.id`,
      [ENDS],
    );
  };
  const beat = await inARow(BEATS, async (i) => {
    const task = running[i % running.length];
    if (task !== undefined) await pool.heartbeat(task.id, task.attempt, { fraction: 0 });
  });
  const sign = await inARow(SIGNS, (i) => registry.upsert({ ...worker, id: `wrk_${String(1 + (i % workers))}` }));
  const { wall, ...turn } = await costOf(TURNS, () => pool.release(), end);
  return { turn, turnWallMs: wall, beat, sign };
}
