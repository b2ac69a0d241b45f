import type { TaskKind } from '../jobs/tasks.js';
import { releaseRoom } from './fair-share.js';
import {
  Endings,
  Fifo,
  generator,
  goOn,
  isBefore,
  type Job,
  pick,
  type Queue,
  scaleOf,
  type Team,
  together,
} from './forecast-parts.js';

/**
 * When queued jobs will start: the pool is played forward by the rules of the relay, with what tasks of each team took
 * lately. A pool is no simple line: a job holds one place while it is inspected and many while its layers are solved,
 * so that others start beside it, and the teams take turns by their accounts.
 */

/** What the tasks of a job took, by kind, in seconds. */
export type JobSample = Readonly<Record<TaskKind, readonly number[]>>;

/** A job of which a task has been claimed. */
export interface BegunJob {
  priority: number;
  /** Seconds; the order of creation. */
  createdAt: number;
  deviceSeconds: number;
  kind: TaskKind;
  /** Tasks of this step that are not released, and those that are and no worker has taken. */
  left: number;
  released: number;
  /** Its tasks that have ended, and what they took. */
  done: { kind: TaskKind; tasks: number; seconds: number }[];
  /** How long each of its running tasks has been running, in seconds. */
  running: number[];
  /** Once they are planned. */
  layers: number | null;
  points: number;
}

export interface QueuedJobs {
  priority: number;
  /** Of each of them, ascending: seconds, the order of creation. */
  createdAt: number[];
  /** How many of them, from the first on, have a task that is released. */
  released: number;
}

export interface ForecastTeam {
  id: string;
  weight: number;
  virtualSeconds: number;
  limit: number;
  /** Its latest jobs: those to come are taken to be like them. */
  latest: readonly JobSample[];
  /** Jobs that come in a second, lately. */
  arrivals: number;
  begun: BegunJob[];
  queued: QueuedJobs[];
}

export interface Forecast {
  /**
   * Seconds until a job starts; null when there is no telling. @param place 0 for the first of the team's jobs with
   * this priority
   */
  startOf(teamId: string, priority: number, place: number): number | null;
}

/** Tasks that are played in a run, fewer with many teams; what comes later goes on at the pace of what came before. */
const MOST_TASKS = 4_000;
const MOST_LOOKS = 100_000;
/** Every run draws other durations; the middle one counts. */
const RUNS = 5;
/** Of its longest duration, a task that has been running for longer is expected to take so much more. */
const LEAST_REST = 0.25;
/** One way that it may go on. */
class Run {
  readonly teams: Team[];
  private readonly endings = new Endings();
  private readonly released = new Fifo<{ job: Job; seconds: number }>();
  private readonly random: () => number;
  private readonly most: number;
  private readonly taskSeconds: number | undefined;
  private now = 0;
  private dispatched = 0;
  private waiting = 0;
  /** What comes meanwhile was created after what is there. */
  private readonly created: number;

  constructor(
    readonly slots: number,
    given: readonly ForecastTeam[],
    seed: number,
  ) {
    this.random = generator(seed);
    this.most = Math.min(MOST_TASKS, MOST_LOOKS / Math.max(1, given.length));
    const known = given.flatMap(({ begun, queued }) => [
      ...begun.map(({ createdAt }) => createdAt),
      ...queued.map(({ createdAt }) => createdAt.at(-1) ?? 0),
    ]);
    this.created = Math.max(0, ...known);
    const tasks = given.flatMap(({ latest }) => latest.flatMap((job) => Object.values(job).flat()));
    this.taskSeconds = tasks.length === 0 ? undefined : tasks.reduce((sum, one) => sum + one, 0) / tasks.length;
    this.teams = given.map((team) => this.open(team));
    for (const [i, { begun }] of given.entries())
      for (const [j, { released }] of begun.entries()) this.putReleased(this.teams[i]?.open[j], released);
    for (const [i, { queued }] of given.entries())
      for (const [j, { released }] of queued.entries())
        for (let n = 0; n < released; n++) this.putReleased(this.teams[i]?.queues[j]?.next ?? undefined, 1);
  }

  private putReleased(job: Job | undefined, n: number): void {
    for (let i = 0; i < n; i++) if (job !== undefined) this.put(job);
  }

  private open(given: ForecastTeam): Team {
    const { id, weight, limit, latest, arrivals } = given;
    const team: Team = {
      ...{
        id,
        weight,
        limit,
        latest,
        arrivals,
        usual: together(latest),
        account: given.virtualSeconds,
        inUse: 0,
        later: new Fifo<Job>(),
        open: [],
      },
      nextArrival: arrivals > 0 ? this.random() / arrivals : Infinity,
      queues: given.queued.map((queue) => ({ ...queue, next: null, place: -1, starts: [] })),
    };
    for (const queue of team.queues) {
      this.waiting += queue.createdAt.length;
      this.advance(team, queue);
    }
    for (const begun of given.begun) this.begin(team, begun);
    return team;
  }

  private newJob(team: Team, priority: number, createdAt: number, place: number | null): Job {
    const like = pick(team.latest, this.random) ?? NOTHING;
    return {
      ...{ team, priority, createdAt, place, like, scale: 1, used: 0, kind: 'inspect', left: 1, running: 0 },
      layers: like.layer.length,
      points: like.assemble.length,
    };
  }

  private begin(team: Team, begun: BegunJob): void {
    const { kind, priority, createdAt, deviceSeconds, left, released, points, layers } = begun;
    const job = this.newJob(team, priority, createdAt, null);
    Object.assign(job, { kind, left: left + released, points, used: deviceSeconds, running: begun.running.length });
    if (layers !== null) job.layers = layers;
    const known = scaleOf(begun, team.usual);
    if (known !== null) [job.like, job.scale] = [team.usual, known];
    team.open.push(job);
    for (const elapsed of begun.running) {
      // Like one that took longer than this.
      const longer = team.usual[kind].filter((seconds) => seconds * job.scale > elapsed);
      const drawn = pick(longer, this.random);
      const seconds = drawn === undefined ? (1 + LEAST_REST) * elapsed : drawn * job.scale;
      this.endings.push({ at: seconds - elapsed, seconds, job });
      team.account += seconds / team.weight;
      team.inUse++;
    }
  }

  private advance(team: Team, queue: Queue): void {
    const createdAt = queue.createdAt[++queue.place];
    queue.next = createdAt === undefined ? null : this.newJob(team, queue.priority, createdAt, queue.place);
  }

  /** The next task of a team: of its open jobs, or of the first queued one of each priority. */
  private nextJob(team: Team): Job | null {
    let best: Job | null = null;
    for (const job of team.open) if (job.left > 0 && (best === null || isBefore(job, best))) best = job;
    for (const { next } of team.queues) if (next !== null && (best === null || isBefore(next, best))) best = next;
    const come = team.later.first;
    if (come !== undefined && (best === null || isBefore(come, best))) best = come;
    return best;
  }

  /** Gives the next place at hand to the team that stands lowest: from there on it is first come, first served. */
  private release(): boolean {
    let team: Team | null = null;
    let job: Job | null = null;
    for (const one of this.teams) {
      if (one.inUse >= one.limit || (team !== null && one.account >= team.account)) continue;
      const next = this.nextJob(one);
      if (next !== null) [team, job] = [one, next];
    }
    if (team === null || job === null) return false;
    this.put(job);
    return true;
  }

  private put(job: Job): void {
    const { team } = job;
    const queue = team.queues.find(({ next }) => next === job);
    if (queue !== undefined) {
      this.advance(team, queue);
      team.open.push(job);
    } else if (team.later.first === job) {
      team.later.shift();
      team.open.push(job);
    }
    const seconds = job.scale * (pick(job.like[job.kind], this.random) ?? 0);
    job.left--;
    job.running++;
    team.inUse++;
    team.account += seconds / team.weight;
    this.released.push({ job, seconds });
  }

  private fill(): void {
    while (this.isOn()) {
      while (releaseRoom(this.slots, this.released.size + this.endings.size, this.taskSeconds) > 0 && this.release());
      if (this.endings.size >= this.slots) return;
      const task = this.released.shift();
      if (task === undefined) return;
      const { job, seconds } = task;
      if (job.place !== null && job.kind === 'inspect') {
        job.team.queues.find(({ priority }) => priority === job.priority)?.starts.push(this.now);
        this.waiting--;
      }
      this.endings.push({ at: this.now + seconds, seconds, job });
      this.dispatched++;
    }
  }

  private isOn = () => this.waiting > 0 && this.dispatched < this.most;

  /** A team that had nothing to do comes back beside the lowest one that waits. */
  private arrive(team: Team): void {
    if (this.nextJob(team) === null) {
      const waiting = this.teams.filter((one) => one !== team && this.nextJob(one) !== null);
      if (waiting.length > 0) team.account = Math.max(team.account, Math.min(...waiting.map(({ account }) => account)));
    }
    team.later.push(this.newJob(team, NORMAL, this.created + this.now, null));
    team.nextArrival += 1 / team.arrivals;
  }

  play(): void {
    this.fill();
    while (this.isOn()) {
      const ending = this.endings.pop();
      if (ending === undefined) break;
      this.now = ending.at;
      const { job, seconds } = ending;
      job.running--;
      job.used += seconds;
      job.team.inUse--;
      if (job.running === 0 && job.left === 0 && !goOn(job)) job.team.open.splice(job.team.open.indexOf(job), 1);
      for (const team of this.teams) while (team.nextArrival <= this.now) this.arrive(team);
      this.fill();
    }
  }

  startOf(teamId: string, priority: number, place: number): number | null {
    const queue = this.teams.find(({ id }) => id === teamId)?.queues.find((one) => one.priority === priority);
    if (queue === undefined) return null;
    const known = queue.starts[place];
    if (known !== undefined) return known;
    // The pace of the second half: the first may have taken what stood free.
    const [n, last] = [queue.starts.length, queue.starts.at(-1)];
    const middle = queue.starts[n >> 1];
    if (last === undefined || middle === undefined || last === middle) return null;
    return last + ((place - (n - 1)) * (last - middle)) / (n - 1 - (n >> 1));
  }
}

const NORMAL = 1;
const NOTHING: JobSample = { inspect: [], plan: [], layer: [], assemble: [], evaluate: [] };

/**
 * Plays the pool with `slots` places forward, until every queued job has started or {@link MOST_TASKS} are dispatched,
 * in each run.
 */
export function forecast(slots: number, teams: readonly ForecastTeam[]): Forecast {
  const runs = Array.from({ length: RUNS }, (_, i) => new Run(slots, teams, 1 + 7919 * (i + 1)));
  for (const run of runs) run.play();
  return {
    startOf(teamId, priority, place) {
      const starts = runs.flatMap((run) => run.startOf(teamId, priority, place) ?? []).sort((a, b) => a - b);
      return starts.length < RUNS ? null : (starts[starts.length >> 1] ?? null);
    },
  };
}
