/**
 * Which team's task is released next. The pool's places go to the team that uses the fewest of them for its weight; among equals
 * to the one that used less device time lately. Inside a team: priority, then the older job, then the order of the layers.
 * Work-conserving: a place is never kept free for a team that has nothing to do.
 */

export interface WaitingTask {
  taskId: string;
  attempt: number;
  teamId: string;
  /** 0 low, 1 normal, 2 high */
  priority: number;
  /** Order of the jobs' creation. */
  jobSeq: number;
  layer: number;
}

export interface TeamUse {
  weight: number;
  /** Tasks released or running now. */
  inUse: number;
  /** Device seconds of the last minutes. */
  recentSeconds: number;
}

const NEW_TEAM: TeamUse = { weight: 1, inUse: 0, recentSeconds: 0 };

export function compareWithinTeam(a: WaitingTask, b: WaitingTask): number {
  return b.priority - a.priority || a.jobSeq - b.jobSeq || a.layer - b.layer;
}

/** Chooses up to `room` tasks, in the order to release them. */
export function chooseTasks(waiting: WaitingTask[], teams: ReadonlyMap<string, TeamUse>, room: number): WaitingTask[] {
  const queues = new Map<string, WaitingTask[]>();
  for (const task of waiting) queues.set(task.teamId, [...(queues.get(task.teamId) ?? []), task]);
  const lanes = [...queues].map(([teamId, tasks]) => ({
    teamId,
    use: { ...(teams.get(teamId) ?? NEW_TEAM) },
    tasks: tasks.sort(compareWithinTeam),
  }));
  const chosen: WaitingTask[] = [];
  while (chosen.length < room) {
    const open = lanes.filter((lane) => lane.tasks.length > 0);
    open.sort(
      (a, b) =>
        (a.use.inUse + 1) / a.use.weight - (b.use.inUse + 1) / b.use.weight ||
        a.use.recentSeconds / a.use.weight - b.use.recentSeconds / b.use.weight ||
        (a.teamId < b.teamId ? -1 : 1),
    );
    const task = open[0]?.tasks.shift();
    if (open[0] === undefined || task === undefined) break;
    open[0].use.inUse++;
    chosen.push(task);
  }
  return chosen;
}

/** Tasks kept released or running: one being worked on and one at hand for every place, so that no worker waits for the relay. */
export function releaseRoom(slots: number, inFlight: number): number {
  return Math.max(0, Math.max(2, 2 * slots) - inFlight);
}

/**
 * Position of a queued job: `ahead` jobs of its own team come first, and meanwhile every other team starts as many as its weight
 * allows, if it has them.
 */
export function estimatePosition(ahead: number, weight: number, others: { weight: number; queued: number }[]): number {
  const turns = (ahead + 1) / weight;
  const between = others.map((team) => Math.min(team.queued, Math.floor(turns * team.weight)));
  return ahead + 1 + between.reduce((sum, n) => sum + n, 0);
}
