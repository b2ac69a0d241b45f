import { TASK_KINDS, type TaskKind } from '../jobs/tasks.js';
import type { BegunJob, JobSample } from './forecast.js';

/** What a forecast is played with. */

/** As in sparank_rank. */
const [FREE_DEVICE_SECONDS, RANK_PER_SECOND] = [300, 10];

export interface Job {
  team: Team;
  priority: number;
  createdAt: number;
  used: number;
  kind: TaskKind;
  left: number;
  running: number;
  /** Index in its queue; null: it had begun, or comes later. */
  place: number | null;
  /** The job that it is taken to be like. */
  like: JobSample;
  /** Its tasks take so much longer than those. */
  scale: number;
  layers: number;
  points: number;
}

export interface Queue {
  priority: number;
  createdAt: number[];
  next: Job | null;
  place: number;
  starts: number[];
}

export interface Team {
  id: string;
  weight: number;
  limit: number;
  account: number;
  inUse: number;
  latest: readonly JobSample[];
  /** All tasks of those together. */
  usual: JobSample;
  arrivals: number;
  nextArrival: number;
  /** Begun. */
  open: Job[];
  /** Those that come meanwhile. */
  later: Fifo<Job>;
  queues: Queue[];
}

export interface Ending {
  at: number;
  seconds: number;
  job: Job;
}

/**
 * The multiplicative generator of Park and Miller: the same numbers in every forecast, so that it moves only with the
 * pool.
 */
export function generator(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

const rankOf = ({ createdAt, used }: Pick<Job, 'createdAt' | 'used'>): number =>
  createdAt + RANK_PER_SECOND * Math.max(0, used - FREE_DEVICE_SECONDS);

export const isBefore = (a: Job, b: Job): boolean =>
  a.priority > b.priority || (a.priority === b.priority && rankOf(a) < rankOf(b));

export const pick = <T>(values: readonly T[], random: () => number): T | undefined =>
  values[Math.floor(random() * values.length)];

/** The step after the one of which the last task has ended; false at the end of the job. */
export function goOn(job: Job): boolean {
  const kind = TASK_KINDS[TASK_KINDS.indexOf(job.kind) + 1];
  if (kind === undefined) return false;
  job.kind = kind;
  job.left = kind === 'layer' ? job.layers : kind === 'assemble' ? job.points : 1;
  // Nothing was worth compressing.
  return job.left > 0 || goOn(job);
}

/** Running tasks, the one that ends first at the end: as many as there are places. */
export class Endings {
  private readonly latestFirst: Ending[] = [];

  get size(): number {
    return this.latestFirst.length;
  }

  push(ending: Ending): void {
    const list = this.latestFirst;
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((list[middle]?.at ?? 0) > ending.at) low = middle + 1;
      else high = middle;
    }
    list.splice(low, 0, ending);
  }

  pop(): Ending | undefined {
    return this.latestFirst.pop();
  }
}

export function together(jobs: readonly JobSample[]): JobSample {
  const of = (kind: TaskKind) => jobs.flatMap((job) => job[kind]);
  return {
    inspect: of('inspect'),
    plan: of('plan'),
    layer: of('layer'),
    assemble: of('assemble'),
    evaluate: of('evaluate'),
  };
}

const meanOf = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;

/** Tasks after which a job is believed to be what it seems rather than what is usual. */
const BELIEVED = 2;

/** How much longer than usual its tasks take, by those that have ended; null before there are any. */
export function scaleOf({ done }: BegunJob, usual: JobSample): number | null {
  const tasks = done.reduce((sum, one) => sum + one.tasks, 0);
  const expected = done.reduce((sum, one) => sum + one.tasks * meanOf(usual[one.kind]), 0);
  if (tasks === 0 || expected === 0) return null;
  const seen = done.reduce((sum, one) => sum + one.seconds, 0) / expected;
  return (tasks * seen + BELIEVED) / (tasks + BELIEVED);
}

export class Fifo<T> {
  private items: T[] = [];
  private begin = 0;

  get size(): number {
    return this.items.length - this.begin;
  }

  get first(): T | undefined {
    return this.items[this.begin];
  }

  push(item: T): void {
    this.items.push(item);
  }

  shift(): T | undefined {
    const item = this.items[this.begin];
    if (item === undefined) return undefined;
    if (++this.begin > 1000) {
      this.items = this.items.slice(this.begin);
      this.begin = 0;
    }
    return item;
  }
}
