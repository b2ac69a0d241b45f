import { TASK_KINDS, type TaskKind } from '../../src/jobs/tasks.js';
import {
  chooseSwaps,
  chooseTasks,
  releaseRoom,
  settleAccounts,
  type TeamAccount,
  type WaitingTask,
} from '../../src/scheduling/fair-share.js';
import type { ForecastTeam, JobSample } from '../../src/scheduling/forecast.js';
import { uniform } from '../database/support/simulated-pool.js';

/** A team of the simulation: what its jobs are like, and how many of them it keeps in the service. */
export interface SimulatedTeam {
  id: string;
  weight: number;
  /** Median seconds of a task of each kind. */
  seconds: Record<TaskKind, number>;
  layers: number;
  /** When one has ended, the next one comes. */
  jobs: number;
}

export interface SimulatedJob {
  id: number;
  team: Team;
  createdAt: number;
  startedAt: number | null;
  kind: TaskKind;
  deviceSeconds: number;
  /** Its size relative to the team's usual one. */
  scale: number;
  layers: number;
  tasks: Task[];
}

interface Team extends SimulatedTeam {
  virtualSeconds: number;
  taskSeconds: number;
  jobSeconds: number;
  backlogged: boolean;
  ended: SimulatedJob[];
}

interface Task {
  id: string;
  job: SimulatedJob;
  kind: TaskKind;
  layer: number;
  state: 'waiting' | 'released' | 'running' | 'done';
  seconds: number;
  startedAt: number;
}

/** As the averages of the service move. */
const STEP = 0.2;
/** What the service looks at for what a team's jobs are like. */
const LATEST_JOBS = 20;
/** In which it counts the jobs that come. */
const LATELY_SECONDS = 3600;

/** A pool of equal places under the rules of the relay, in simulated time: which task, of whom, when. */
export class PoolSimulation {
  now = 0;
  readonly jobs: SimulatedJob[] = [];
  readonly #teams: Team[];
  readonly #random: () => number;
  readonly #open = new Set<SimulatedJob>();
  #queue: Task[] = [];
  #running: Task[] = [];

  constructor(
    readonly slots: number,
    teams: SimulatedTeam[],
    seed: number,
  ) {
    this.#random = uniform(seed);
    this.#teams = teams.map((team) => ({
      ...team,
      virtualSeconds: 0,
      taskSeconds: 0,
      jobSeconds: 0,
      backlogged: false,
      ended: [],
    }));
    for (const team of this.#teams) for (let i = 0; i < team.jobs; i++) this.#submit(team);
    this.#relay();
  }

  /** Log-normal, with median 1. */
  #spread(sigma: number): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.#random())) * Math.cos(2 * Math.PI * this.#random());
    return Math.exp(sigma * normal);
  }

  #addTasks(job: SimulatedJob, kind: TaskKind): void {
    job.kind = kind;
    const n = kind === 'layer' ? job.layers : 1;
    for (let layer = 0; layer < n; layer++) {
      const sigma = kind === 'layer' ? 0.6 : 0.2;
      const seconds = job.team.seconds[kind] * job.scale * this.#spread(sigma);
      job.tasks.push({
        id: `${job.id}.${kind}.${layer}`,
        job,
        kind,
        layer: kind === 'layer' ? layer : -1,
        state: 'waiting',
        seconds,
        startedAt: 0,
      });
    }
  }

  #submit(team: Team): SimulatedJob {
    const job: SimulatedJob = {
      id: this.jobs.length,
      team,
      createdAt: this.now,
      startedAt: null,
      kind: 'inspect',
      deviceSeconds: 0,
      scale: this.#spread(0.2),
      layers: Math.max(1, Math.round(team.layers * this.#spread(0.15))),
      tasks: [],
    };
    this.#addTasks(job, 'inspect');
    this.jobs.push(job);
    this.#open.add(job);
    return job;
  }

  #accounts(): Map<string, TeamAccount> {
    return new Map(
      this.#teams.map((team) => {
        const mine = (tasks: Task[]) => tasks.filter((task) => task.job.team === team);
        const running = mine(this.#running);
        const released = mine(this.#queue).length;
        const overrun = running.reduce(
          (sum, { startedAt }) => sum + Math.max(0, this.now - startedAt - team.taskSeconds),
          0,
        );
        const { weight, virtualSeconds, taskSeconds, backlogged } = team;
        const inUse = running.length + released;
        return [team.id, { weight, virtualSeconds, taskSeconds, backlogged, inUse, released, overrun, limit: 1e6 }];
      }),
    );
  }

  #waiting(): Map<string, Task> {
    const tasks = [...this.#open].flatMap((job) => job.tasks.filter(({ state }) => state === 'waiting'));
    return new Map(tasks.map((task) => [task.id, task]));
  }

  /** A turn of the relay, then every free place takes the next released task. */
  #relay(): void {
    const asWaiting = ({ id, job, layer }: Task): WaitingTask => ({
      taskId: id,
      attempt: 1,
      teamId: job.team.id,
      priority: 1,
      rank: job.createdAt + 10 * Math.max(0, job.deviceSeconds - 300),
      layer,
      point: 0,
    });
    for (;;) {
      const waiting = this.#waiting();
      const accounts = this.#accounts();
      const teamsWaiting = new Set([...waiting.values()].map(({ job }) => job.team.id));
      const highest = Math.max(0, ...this.#teams.map(({ virtualSeconds }) => virtualSeconds));
      for (const [id, account] of settleAccounts(accounts, teamsWaiting, highest)) {
        accounts.set(id, account);
        const team = this.#teams.find((one) => one.id === id);
        if (team !== undefined)
          Object.assign(team, { virtualSeconds: account.virtualSeconds, backlogged: account.backlogged });
      }
      const room = releaseRoom(this.slots, this.#running.length + this.#queue.length);
      const chosen = chooseTasks([...waiting.values()].map(asWaiting), accounts, room);
      const release = (id: string) => {
        const task = waiting.get(id);
        if (task === undefined) return;
        waiting.delete(id);
        task.state = 'released';
        this.#queue.push(task);
        const account = accounts.get(task.job.team.id);
        if (account !== undefined) account.inUse++;
      };
      for (const { taskId } of chosen) release(taskId);
      for (const { out, in: taken } of chooseSwaps(
        [...waiting.values()].map(asWaiting),
        this.#queue.map(asWaiting),
        accounts,
      )) {
        const back = this.#queue.find(({ id }) => id === out.taskId);
        if (back !== undefined) back.state = 'waiting';
        this.#queue = this.#queue.filter((task) => task !== back);
        release(taken.taskId);
      }
      let took = false;
      while (this.#running.length < this.slots && this.#queue.length > 0) {
        const task = this.#queue.shift();
        if (task === undefined) break;
        task.state = 'running';
        task.startedAt = this.now;
        task.job.startedAt ??= this.now;
        this.#running.push(task);
        took = true;
      }
      if (!took) return;
    }
  }

  /** @returns its job, when that was its last task */
  #end(task: Task): SimulatedJob | null {
    this.#running.splice(this.#running.indexOf(task), 1);
    task.state = 'done';
    const { job } = task;
    const { team } = job;
    job.deviceSeconds += task.seconds;
    team.virtualSeconds += task.seconds / team.weight;
    team.taskSeconds =
      team.taskSeconds === 0 ? task.seconds : team.taskSeconds + STEP * (task.seconds - team.taskSeconds);
    if (job.tasks.some(({ state }) => state !== 'done')) return null;
    const next = TASK_KINDS[TASK_KINDS.indexOf(job.kind) + 1];
    if (next !== undefined) {
      this.#addTasks(job, next);
      return null;
    }
    this.#open.delete(job);
    team.ended.push(job);
    team.jobSeconds =
      team.jobSeconds === 0 ? job.deviceSeconds : team.jobSeconds + STEP * (job.deviceSeconds - team.jobSeconds);
    return job;
  }

  /** To the next end of a task. @returns the job that has come for one that has ended */
  step(): SimulatedJob | null {
    const ends = ({ startedAt, seconds }: Task) => startedAt + seconds;
    const task = this.#running.reduce<Task | null>(
      (next, one) => (next === null || ends(one) < ends(next) ? one : next),
      null,
    );
    if (task === null) throw new Error('nothing runs');
    this.now = ends(task);
    const ended = this.#end(task);
    const come = ended === null ? null : this.#submit(ended.team);
    this.#relay();
    return come;
  }

  get running(): number {
    return this.#running.length;
  }
  get released(): number {
    return this.#queue.length;
  }

  #arrivalRate(team: Team): number {
    const since = Math.max(0, this.now - LATELY_SECONDS);
    return this.jobs.filter((job) => job.team === team && job.createdAt > since).length / LATELY_SECONDS;
  }

  /** What the service knows of a team at this moment, from its tables. */
  snapshot(): (ForecastTeam & { jobSeconds: number; taskSeconds: number; jobs: SimulatedJob[] })[] {
    return this.#teams.map((team) => {
      const mine = [...this.#open].filter((job) => job.team === team);
      const queued = mine.filter(({ startedAt }) => startedAt === null);
      return {
        id: team.id,
        weight: team.weight,
        virtualSeconds: team.virtualSeconds,
        limit: 1e6,
        latest: team.ended.slice(-LATEST_JOBS).map(sampleOf),
        arrivals: this.#arrivalRate(team),
        begun: mine
          .filter(({ startedAt }) => startedAt !== null)
          .map((job) => {
            const tasks = job.tasks.filter(({ kind }) => kind === job.kind);
            const planned = TASK_KINDS.indexOf(job.kind) > TASK_KINDS.indexOf('plan');
            const ended = (kind: TaskKind) =>
              job.tasks.filter((task) => task.kind === kind && task.state === 'done').map(({ seconds }) => seconds);
            return {
              priority: 1,
              createdAt: job.createdAt,
              deviceSeconds: job.deviceSeconds,
              kind: job.kind,
              left: tasks.filter(({ state }) => state === 'waiting').length,
              released: tasks.filter(({ state }) => state === 'released').length,
              done: TASK_KINDS.map((kind) => ({
                kind,
                tasks: ended(kind).length,
                seconds: ended(kind).reduce((sum, one) => sum + one, 0),
              })),
              running: tasks.filter(({ state }) => state === 'running').map(({ startedAt }) => this.now - startedAt),
              layers: planned ? job.layers : null,
              points: 1,
            };
          }),
        queued:
          queued.length === 0
            ? []
            : [
                {
                  priority: 1,
                  createdAt: queued.map(({ createdAt }) => createdAt),
                  released: queued.filter(({ tasks }) => tasks[0]?.state === 'released').length,
                },
              ],
        jobSeconds: team.jobSeconds,
        taskSeconds: team.taskSeconds,
        jobs: queued,
      };
    });
  }
}

function sampleOf({ tasks }: SimulatedJob): JobSample {
  const of = (wanted: TaskKind) => tasks.filter(({ kind }) => kind === wanted).map(({ seconds }) => seconds);
  return Object.fromEntries(TASK_KINDS.map((kind) => [kind, of(kind)])) as Record<TaskKind, number[]>;
}
