import pg from 'pg';
import type { Database, ReleasableTask } from '../../../src/database/repositories.js';
import type { Assignment } from '../../../src/jobs/tasks.js';
import { canRun, workerClassOf, needsOf, type Needs, type Offer } from '../../../src/scheduling/worker-classes.js';
import type { Resources } from '../../../src/jobs/spec.js';
import { createJob, newJob, stepFile, stepResult } from '../../support/jobs.js';
import { setClock } from './simulated-clock.js';

interface SimulatedWorker extends Offer {
  id: string;
  slots: number;
}

interface Running {
  worker: SimulatedWorker;
  task: Assignment;
  begin: number;
  end: number;
}

/** mulberry32: uniform in [0, 1), the same sequence for the same seed. */
export function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export interface PoolOptions {
  slots: number;
  /** Instead of one worker with all places and nothing particular. */
  workers?: (Offer & { slots: number })[];
  /** Layers of every job. */
  layers: number;
  /** Device seconds of a task. */
  cost: (task: Assignment) => number;
}

/**
 * A pool whose tasks take simulated time, over a real database with a simulated clock (`openSimulated`): releases,
 * claims and results are those of the service, and nothing depends on how fast the machine is.
 */
export class SimulatedPool {
  /** Seconds since the start. */
  now = 0;
  readonly starts: { teamId: string; jobId: string; at: number; workerId: string; seconds: number }[] = [];
  readonly workers: SimulatedWorker[];
  readonly #ended = new Map<string, number>();
  readonly #queues = new Map<string, ReleasableTask[]>();
  #running: Running[] = [];

  private constructor(
    readonly database: Database,
    readonly options: PoolOptions,
    readonly client: pg.Client,
  ) {
    const plain = { engine: 'onnxruntime', class: null, deviceMemoryBytes: 0, slots: options.slots };
    this.workers = (options.workers ?? [plain]).map((worker, i) => ({ ...worker, id: `wrk_sim${i}` }));
  }

  static async open(database: Database, options: PoolOptions): Promise<SimulatedPool> {
    const client = new pg.Client({ connectionString: database.url });
    client.on('error', () => undefined);
    await client.connect();
    const pool = new SimulatedPool(database, options, client);
    for (const worker of pool.workers) await database.workers.upsert({ ...worker, device: 'cpu', threads: 1 });
    return pool;
  }

  close(): Promise<void> {
    return this.client.end();
  }

  get busy(): number {
    return this.#running.length;
  }

  /** Device seconds of the tasks that have ended, by team. */
  get ended(): ReadonlyMap<string, number> {
    return this.#ended;
  }

  /** The same as the service has counted it. */
  async counted(): Promise<Map<string, number>> {
    const { rows } = await this.client.query<{ id: string; seconds: number }>(
      'select team_id as id, sum(device_seconds) as seconds from usage group by 1 having sum(device_seconds) > 0',
    );
    return new Map(rows.map(({ id, seconds }) => [id, seconds]));
  }

  /** Served device seconds by team, those of running tasks up to now included. */
  served(): Map<string, number> {
    const all = new Map(this.#ended);
    for (const { task, begin } of this.#running) all.set(task.teamId, (all.get(task.teamId) ?? 0) + this.now - begin);
    return all;
  }

  #isFree(worker: SimulatedWorker): boolean {
    return this.#running.filter((one) => one.worker === worker).length < worker.slots;
  }

  /**
   * Fills the places. A place that stays free although a task waits for its like is an error: the pool would be idle.
   */
  async fill(): Promise<void> {
    for (;;) {
      await this.#release();
      for (const worker of this.workers) await this.#take(worker);
      const free = this.workers.filter((worker) => this.#isFree(worker));
      if (free.length === 0) return;
      const waiting = await this.waiting();
      const idle = free.filter((worker) => waiting.some((needs) => canRun(needs, worker)));
      if (idle.length === 0) return;
      const released = await this.#release();
      if (released === 0 && idle.some((worker) => (this.#queues.get(workerClassOf(worker)) ?? []).length === 0))
        throw new Error('a place is free and a task waits');
    }
  }

  async #release(): Promise<number> {
    const tasks = (await this.database.pool.release()) ?? [];
    for (const task of tasks) this.#queues.set(task.workerClass, [...(this.#queues.get(task.workerClass) ?? []), task]);
    return tasks.length;
  }

  async #take(worker: SimulatedWorker): Promise<void> {
    while (this.#isFree(worker)) {
      const message = this.#queues.get(workerClassOf(worker))?.shift();
      if (message === undefined) return;
      const task = await this.database.pool.claim(message.taskId, message.attempt, worker.id);
      // Out of date: it was taken back.
      if (task === null) continue;
      if (!canRun(needsOf(task.spec), worker)) throw new Error('a worker got a task that it cannot run');
      // Whole milliseconds, as the database keeps times.
      const seconds = Math.round(1000 * this.options.cost(task)) / 1000;
      this.starts.push({ teamId: task.teamId, jobId: task.jobId, at: this.now, workerId: worker.id, seconds });
      this.#running.push({ worker, task, begin: this.now, end: this.now + seconds });
    }
  }

  /** What the tasks need that no worker has: those that may run now, and those that stand in a queue. */
  async waiting(): Promise<Needs[]> {
    const { rows } = await this.client.query<{ needs: Needs }>(
      "select needs from tasks where (state = 'waiting' and not_before <= clock_timestamp()) or state = 'released' group by needs",
    );
    return rows.map(({ needs }) => needs);
  }

  /** Lets the next task end, and fills its place; false when none runs. */
  async step(): Promise<boolean> {
    if (this.workers.some((worker) => this.#isFree(worker))) await this.fill();
    this.#running.sort((a, b) => a.end - b.end);
    const next = this.#running.shift();
    if (next === undefined) return false;
    const { task, begin, end } = next;
    await this.#advance(end);
    this.#ended.set(task.teamId, (this.#ended.get(task.teamId) ?? 0) + this.now - begin);
    const files = task.kind === 'evaluate' ? [stepFile('model.onnx')] : [];
    const result = stepResult(task, this.options.layers);
    await this.database.pool.succeed(task.taskId, task.attempt, { result, files });
    await this.fill();
    return true;
  }

  async #advance(to: number): Promise<void> {
    this.now = Math.max(this.now, to);
    await setClock(this.client, this.now);
  }

  /**
   * Jobs of a team, all but the first one as copies of it, a millisecond apart: the order of jobs is that of their
   * creation.
   */
  async submit(teamId: string, n: number, resources?: Resources): Promise<void> {
    const { spec, ...rest } = newJob();
    const job = { ...rest, spec: resources === undefined ? spec : { ...spec, resources } };
    const { id } = await createJob(this.database, job, teamId);
    await this.client.query(
      `with copy as (
         insert into jobs (id, team_id, spec, inputs, labels, priority, needs, created_at)
         select id || '_' || n, team_id, spec, inputs, labels, priority, needs, created_at + (n - 1) * interval '1 ms' from jobs, generate_series(2, $2) as n
         where id = $1 order by n returning id, team_id
       )
       insert into tasks (id, team_id, job_id, kind) select 'tsk_' || id, team_id, id, 'inspect' from copy`,
      [id, n],
    );
    await this.#advance(this.now + n / 1000);
  }

  async steps(n: number): Promise<void> {
    for (let i = 0; i < n; i++) if (!(await this.step())) throw new Error('nothing runs');
  }
}
