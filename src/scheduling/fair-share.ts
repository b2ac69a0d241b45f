/**
 * Which team's task is released next: fair queueing by device time, weighted by team, one task at a time.
 *
 * Every team has an account of virtual seconds: the device seconds that it used, divided by its weight. The next place
 * goes to the team that stands lowest, the expected cost of its tasks in flight included, so that the long-run shares
 * of device time follow the weights whatever the tasks of a team cost and however few places there are. Time in which a
 * team wants nothing earns it nothing: when it comes back, its account is raised to that of the lowest team that waits.
 * And what a team used while nobody waited is not held against it. Work-conserving: a place is never kept free for a
 * team that has nothing to do.
 *
 * Inside a team: priority, then rank (the order of the jobs' creation; a job that has used much lets younger ones
 * pass), then the order of the layers.
 */

export interface WaitingTask {
  taskId: string;
  attempt: number;
  teamId: string;
  /** 0 low, 1 normal, 2 high */
  priority: number;
  /** Lower is earlier; the tasks of a job have the same. */
  rank: number;
  layer: number;
  point: number;
}

export interface TeamAccount {
  weight: number;
  virtualSeconds: number;
  /** What a task of the team costs on average, in device seconds; 0 when that is not known. */
  taskSeconds: number;
  /** Tasks that are in the queue or with a worker. */
  inUse: number;
  /** Those of them that no worker has taken yet. */
  released: number;
  /** Device seconds that tasks with a worker have used beyond the average. */
  overrun: number;
  /** Tasks that it may have in use. */
  limit: number;
  /** Whether it waited for a place when the accounts were last settled. */
  backlogged: boolean;
}

/** Cost of a task while nothing was measured at all. */
const FIRST_GUESS_SECONDS = 1;
/**
 * A team that waits is at most this far behind (seconds over the lowest weight): it may wait for workers that others do
 * not need, and must not take everything from them for longer than this afterwards.
 */
const MOST_CREDIT_SECONDS = 3600;

/** Part of a task by which a swap must be worth it. */
const MARGIN = 0.5;
/** Seconds of standing by which a swap must be worth it, however short the tasks are: they have their turn as soon. */
const LEAST_GAIN_SECONDS = 1;
/** What stands ready for a place, beside the task that it works on: seconds of work, in so many tasks at most. */
const AHEAD_SECONDS = 0.25;
const MOST_AHEAD = 32;

/** What another task of the team is expected to cost. */
function costOf(account: TeamAccount, guess: number): number {
  return account.taskSeconds > 0 ? account.taskSeconds : guess;
}

/** What a task costs on average, over all teams of which it is known. */
export function usualCost(accounts: Iterable<TeamAccount>): number {
  const known = [...accounts].map((account) => account.taskSeconds).filter((seconds) => seconds > 0);
  return known.length === 0 ? FIRST_GUESS_SECONDS : known.reduce((sum, seconds) => sum + seconds, 0) / known.length;
}

/** Where the team stands, with what it has in flight. */
const standing = (account: TeamAccount, guess: number): number =>
  account.virtualSeconds + (account.inUse * costOf(account, guess) + account.overrun) / account.weight;

/**
 * Raises the accounts of teams that begin to wait, and notes who waits.
 * @param waiting teams with a task that could be released if there were a place
 * @param highest the highest account of all teams
 * @returns the accounts that have changed
 */
export function settleAccounts<A extends TeamAccount>(
  accounts: ReadonlyMap<string, A>,
  waiting: ReadonlySet<string>,
  highest: number,
): Map<string, A> {
  const waits = new Map(
    [...accounts].map(([id, team]) => [id, team.released > 0 || (waiting.has(id) && team.inUse < team.limit)]),
  );
  const backlogged = [...accounts].flatMap(([id, team]) => (waits.get(id) === true ? [team] : []));
  const before = backlogged.filter((team) => team.backlogged).map((team) => team.virtualSeconds);
  const clock = before.length > 0 ? before.reduce((a, b) => Math.min(a, b)) : highest;
  const raised = (team: TeamAccount) => (team.backlogged ? team.virtualSeconds : Math.max(team.virtualSeconds, clock));
  const credit = MOST_CREDIT_SECONDS / backlogged.reduce((lowest, { weight }) => Math.min(lowest, weight), 1);
  const floor = backlogged.reduce((most, team) => Math.max(most, raised(team)), 0) - credit;

  const changed = new Map<string, A>();
  for (const [id, team] of accounts) {
    const now = waits.get(id) === true;
    const virtualSeconds = now ? Math.max(raised(team), floor) : team.virtualSeconds;
    if (now !== team.backlogged || virtualSeconds !== team.virtualSeconds)
      changed.set(id, { ...team, virtualSeconds, backlogged: now });
  }
  return changed;
}

export function compareWithinTeam(a: WaitingTask, b: WaitingTask): number {
  return (
    b.priority - a.priority ||
    a.rank - b.rank ||
    a.layer - b.layer ||
    a.point - b.point ||
    (a.taskId < b.taskId ? -1 : 1)
  );
}

interface TeamQueue<T extends WaitingTask> {
  teamId: string;
  account: TeamAccount;
  tasks: T[];
  /** Of the account, as `place` has seen it last: thousands of tasks are chosen among thousands of teams. */
  standing: number;
  share: number;
}

/** Notes where the queue stands; to be called whenever its account has changed. */
function place(queue: TeamQueue<WaitingTask>, guess: number): void {
  queue.standing = standing(queue.account, guess);
  queue.share = (queue.account.inUse + 1) / queue.account.weight;
}

function queuesOf<T extends WaitingTask>(
  tasks: T[],
  accounts: ReadonlyMap<string, TeamAccount>,
  guess: number,
): TeamQueue<T>[] {
  const queues = new Map<string, TeamQueue<T>>();
  for (const task of tasks) {
    const account = accounts.get(task.teamId);
    if (account === undefined) continue;
    let queue = queues.get(task.teamId);
    if (queue === undefined) {
      queue = { teamId: task.teamId, account: { ...account }, tasks: [], standing: 0, share: 0 };
      queues.set(task.teamId, queue);
    }
    queue.tasks.push(task);
  }
  for (const queue of queues.values()) {
    queue.tasks.sort(compareWithinTeam);
    place(queue, guess);
  }
  return [...queues.values()];
}

const compareQueues = (a: TeamQueue<WaitingTask>, b: TeamQueue<WaitingTask>): number =>
  a.standing - b.standing || a.share - b.share || (a.teamId < b.teamId ? -1 : 1);

/** The queue that is to have the next place. */
function lowest<T extends WaitingTask>(queues: TeamQueue<T>[]): TeamQueue<T> | undefined {
  let found: TeamQueue<T> | undefined;
  for (const queue of queues) {
    if (queue.tasks.length === 0 || queue.account.inUse >= queue.account.limit) continue;
    if (found === undefined || compareQueues(queue, found) < 0) found = queue;
  }
  return found;
}

/** Chooses up to `room` tasks, in the order to release them. */
export function chooseTasks<T extends WaitingTask>(
  waiting: T[],
  accounts: ReadonlyMap<string, TeamAccount>,
  room: number,
): T[] {
  const guess = usualCost(accounts.values());
  const queues = queuesOf(waiting, accounts, guess);
  const chosen: T[] = [];
  while (chosen.length < room) {
    const queue = lowest(queues);
    const task = queue?.tasks.shift();
    if (queue === undefined || task === undefined) break;
    queue.account.inUse++;
    place(queue, guess);
    chosen.push(task);
  }
  return chosen;
}

/**
 * An account with what a swap depends on: priorities of its first task that waits, and of the last one that is
 * released.
 */
export type Contender = TeamAccount & { next: number | null; lowest: number | null };

const hasPriorities = ({ next, lowest: held }: Contender): boolean => next !== null && held !== null && next > held;

/**
 * The teams whose tasks matter when so many places are given: those that stand lowest, and those with a task before its
 * time.
 */
export function byStanding(accounts: ReadonlyMap<string, Contender>, most: number): string[] {
  const guess = usualCost(accounts.values());
  const stands = (account: TeamAccount) => ({
    at: standing(account, guess),
    share: (account.inUse + 1) / account.weight,
  });
  const first = [...accounts]
    .filter(([, { next, inUse, limit }]) => next !== null && inUse < limit)
    .map(([id, account]) => ({ id, ...stands(account) }))
    .sort((a, b) => a.at - b.at || a.share - b.share || (a.id < b.id ? -1 : 1))
    .slice(0, most);
  const early = [...accounts].filter(([, account]) => hasPriorities(account));
  return [...new Set([...first.map(({ id }) => id), ...early.map(([id]) => id)])];
}

/** Whether `chooseSwaps` could find any: it wants to see every released task. */
export function mayBeSwaps(accounts: Iterable<Contender>): boolean {
  const all = [...accounts];
  if (all.some(hasPriorities)) return true;
  const guess = usualCost(all);
  const least = all
    .filter(({ next, inUse, limit }) => next !== null && inUse < limit)
    .reduce((low, account) => Math.min(low, needed(account, guess)), Infinity);
  return all.some((account) => account.released > 0 && standing(account, guess) >= least);
}

/** Where another team must stand at least to make way for a task of this one. */
function needed(account: TeamAccount, guess: number): number {
  const cost = costOf(account, guess) / account.weight;
  return standing(account, guess) + cost + Math.max(MARGIN * cost, LEAST_GAIN_SECONDS);
}

export interface Swap {
  /** A released task that no worker has taken: back to waiting. */
  out: WaitingTask;
  in: WaitingTask;
}

/**
 * Released tasks that should make way for others: a team that comes late does not stand behind what was released
 * before, only behind what runs. A swap is made when the newcomer, with its task, stands lower than the other team with
 * its own, or for a higher priority of the same team; so they come to an end.
 */
export function chooseSwaps(
  waiting: WaitingTask[],
  released: WaitingTask[],
  accounts: ReadonlyMap<string, TeamAccount>,
  most = Infinity,
): Swap[] {
  const guess = usualCost(accounts.values());
  const queues = queuesOf(waiting, accounts, guess);
  const now = new Map([...accounts].map(([id, account]) => [id, { ...account }]));
  const byTeam = new Map(queues.map((queue) => [queue.teamId, queue]));
  for (const queue of queues) queue.account = now.get(queue.teamId) ?? queue.account;
  const held = new Map<string, WaitingTask[]>();
  for (const task of released) {
    const tasks = held.get(task.teamId);
    if (tasks === undefined) held.set(task.teamId, [task]);
    else tasks.push(task);
  }
  // The last of a team goes first.
  for (const tasks of held.values()) tasks.sort(compareWithinTeam);
  const at = new Map(
    [...held.keys()].flatMap((id) => {
      const owner = now.get(id);
      return owner === undefined ? [] : [[id, standing(owner, guess)] as const];
    }),
  );
  const swaps: Swap[] = [];
  const moved = (teamId: string, by: 1 | -1) => {
    const account = now.get(teamId);
    if (account === undefined) return;
    account.inUse += by;
    if (at.has(teamId)) at.set(teamId, standing(account, guess));
    const queue = byTeam.get(teamId);
    if (queue !== undefined) place(queue, guess);
  };
  const swap = (out: WaitingTask, queue: TeamQueue<WaitingTask>) => {
    const task = queue.tasks.shift();
    if (task === undefined) return;
    const tasks = held.get(out.teamId) ?? [];
    tasks.splice(tasks.indexOf(out), 1);
    if (tasks.length === 0) held.delete(out.teamId);
    moved(out.teamId, -1);
    moved(queue.teamId, 1);
    swaps.push({ out, in: task });
  };
  for (const queue of queues) {
    for (;;) {
      const first = queue.tasks[0];
      const out = first && held.get(queue.teamId)?.findLast((task) => task.priority < first.priority);
      if (out === undefined || !now.has(out.teamId)) break;
      swap(out, queue);
    }
  }
  for (;;) {
    const queue = lowest(queues);
    if (queue === undefined) return swaps;
    let out: WaitingTask | undefined;
    let highest = -Infinity;
    for (const [teamId, tasks] of held) {
      const stands = teamId === queue.teamId ? undefined : at.get(teamId);
      const last = tasks.at(-1);
      if (stands === undefined || last === undefined || stands < highest) continue;
      // Of teams that stand alike, the task that is last of all.
      if (out !== undefined && stands === highest && compareWithinTeam(last, out) <= 0) continue;
      [out, highest] = [last, stands];
    }
    if (out === undefined || highest < needed(queue.account, guess) || swaps.length >= most) return swaps;
    swap(out, queue);
  }
}

/**
 * Tasks kept released or running: for every place one being worked on and one at hand, so that no worker waits for the
 * relay; more where they are so short that it could not keep up.
 */
export function releaseRoom(slots: number, inFlight: number, taskSeconds = AHEAD_SECONDS): number {
  const ahead = Math.min(MOST_AHEAD, Math.max(1, Math.ceil(AHEAD_SECONDS / taskSeconds)));
  return Math.max(0, Math.max(2, slots * (1 + ahead)) - inFlight);
}

/**
 * Position of a queued job: `ahead` jobs of its own team come first, and meanwhile every other team starts as many as
 * its weight allows, if it has them.
 */
export function estimatePosition(ahead: number, weight: number, others: { weight: number; queued: number }[]): number {
  const turns = (ahead + 1) / weight;
  const between = others.map((team) => Math.min(team.queued, Math.floor(turns * team.weight)));
  return ahead + 1 + between.reduce((sum, n) => sum + n, 0);
}

export interface StartEstimate {
  /** Places of the pool that may be the team's. */
  slots: number;
  /** Places that no task has taken. */
  free: number;
  /** Tasks that are released and not taken. */
  released: number;
  /** The team's part of the pool while others wait too, 0..1. */
  share: number;
  /** Tasks that the team may have in use. */
  limit: number;
  /** Whole jobs of the team that come first: queued ones, and what is left of the running ones. */
  jobsAhead: number;
  /** Measured cost of a job and of a task, in device seconds; 0 when nothing was measured. */
  jobSeconds: number;
  taskSeconds: number;
}

/** Seconds until a queued job may start; null without workers, or without a measured time to tell it from. */
export function expectedStart(estimate: StartEstimate): number | null {
  const { slots, free, released, share, limit, jobsAhead, jobSeconds, taskSeconds } = estimate;
  if (slots === 0 || (jobsAhead > 0 && jobSeconds === 0)) return null;
  const work = (jobsAhead * jobSeconds) / Math.min(limit, slots * share);
  if (free > released) return work;
  return taskSeconds === 0 && work === 0 ? null : work + (taskSeconds * (Math.max(0, released - free) + 1)) / slots;
}
