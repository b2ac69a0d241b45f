import pg from 'pg';
import type { Database, ReleasableTask } from '../../../src/database/repositories.js';
import type { Assignment } from '../../../src/jobs/tasks.js';
import { stepFile, stepResult } from '../../support/jobs.js';

interface Running {
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
  /** Layers of every job. */
  layers: number;
  /** Device seconds of a task. */
  cost: (task: Assignment) => number;
}

/**
 * A pool whose tasks take simulated time, over the real database: releases, claims and results are those of the service, and
 * each task is made to have begun its cost ago when it ends.
 */
export class SimulatedPool {
  now = 0;
  /** Served device seconds by team, those of running tasks up to now included. */
  readonly starts: { teamId: string; jobId: string; at: number }[] = [];
  readonly #ended = new Map<string, number>();
  readonly #queue: ReleasableTask[] = [];
  #running: Running[] = [];

  private constructor(
    readonly database: Database,
    readonly options: PoolOptions,
    readonly client: pg.Client,
  ) {}

  static async open(database: Database, options: PoolOptions): Promise<SimulatedPool> {
    const client = new pg.Client({ connectionString: database.url });
    client.on('error', () => undefined);
    await client.connect();
    const pool = new SimulatedPool(database, options, client);
    await pool.register();
    return pool;
  }

  /** As a worker does every few seconds. */
  register(): Promise<void> {
    const { slots } = this.options;
    return this.database.workers.upsert({ id: 'wrk_sim', engine: 'test', device: 'cpu', threads: 1, slots });
  }

  close(): Promise<void> {
    return this.client.end();
  }

  get busy(): number {
    return this.#running.length;
  }

  served(): Map<string, number> {
    const all = new Map(this.#ended);
    for (const { task, begin } of this.#running) all.set(task.teamId, (all.get(task.teamId) ?? 0) + this.now - begin);
    return all;
  }

  /** Fills the places. A place that stays free although a task waits is an error: the pool would be idle. */
  async fill(): Promise<void> {
    for (;;) {
      await this.#release();
      await this.#take();
      if (this.#running.length === this.options.slots) return;
      if ((await this.waiting()) === 0) return;
      if (this.#queue.length === 0 && (await this.#release()) === 0)
        throw new Error('a place is free and a task waits');
    }
  }

  async #release(): Promise<number> {
    const tasks = (await this.database.pool.release()) ?? [];
    this.#queue.push(...tasks);
    return tasks.length;
  }

  async #take(): Promise<void> {
    while (this.#running.length < this.options.slots) {
      const message = this.#queue.shift();
      if (message === undefined) return;
      const task = await this.database.pool.claim(message.taskId, message.attempt, 'wrk_sim');
      // Out of date: it was taken back.
      if (task === null) continue;
      this.starts.push({ teamId: task.teamId, jobId: task.jobId, at: this.now });
      this.#running.push({ task, begin: this.now, end: this.now + this.options.cost(task) });
    }
  }

  /** Tasks that may run now and are not released. */
  async waiting(): Promise<number> {
    const { rows } = await this.client.query<{ n: number }>(
      "select count(*)::int as n from tasks where state = 'waiting' and not_before <= clock_timestamp()",
    );
    return rows[0]?.n ?? 0;
  }

  /** Lets the next task end, and fills its place; false when none runs. */
  async step(): Promise<boolean> {
    if (this.#running.length < this.options.slots) await this.fill();
    this.#running.sort((a, b) => a.end - b.end);
    const next = this.#running.shift();
    if (next === undefined) return false;
    const { task, begin, end } = next;
    this.now = end;
    this.#ended.set(task.teamId, (this.#ended.get(task.teamId) ?? 0) + end - begin);
    await this.client.query(
      "update tasks set started_at = clock_timestamp() - make_interval(secs => $2) where id = $1 and state = 'running'",
      [task.taskId, end - begin],
    );
    const files = task.kind === 'evaluate' ? [stepFile('model.onnx')] : [];
    const result = stepResult(task, this.options.layers);
    await this.database.pool.succeed(task.taskId, task.attempt, { result, files });
    await this.fill();
    return true;
  }

  async steps(n: number): Promise<void> {
    for (let i = 0; i < n; i++) {
      if (i % 50 === 0) await this.register();
      if (!(await this.step())) throw new Error('nothing runs');
    }
  }
}
