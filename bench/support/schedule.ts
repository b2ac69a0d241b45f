/** Seconds of the tasks of one job: groups follow each other, the tasks of a group may run at the same time. */
export type Phases = readonly (readonly number[])[];

/**
 * When each of the jobs ends, all submitted at 0, by list scheduling as the pool does it: a free worker takes the task
 * that has been ready for longest, the earlier job first.
 */
export function listSchedule(jobs: readonly Phases[], workers: number): number[] {
  const free = Array<number>(workers).fill(0);
  const ends = jobs.map(() => 0);
  const state = jobs.map((phases, job) => ({ job, phases: phases.filter((p) => p.length > 0), phase: 0, running: 0 }));
  let ready = state.flatMap((s) => (s.phases[0] ?? []).map((seconds) => ({ at: 0, seconds, of: s })));
  for (const s of state) s.running = s.phases[0]?.length ?? 0;
  const done = state.map(() => 0);
  while (ready.length > 0) {
    const worker = free.indexOf(Math.min(...free));
    ready = ready.sort((a, b) => a.at - b.at || a.of.job - b.of.job);
    const task = ready.shift();
    if (task === undefined) break;
    const { of } = task;
    const end = Math.max(free[worker] ?? 0, task.at) + task.seconds;
    free[worker] = end;
    done[of.job] = Math.max(done[of.job] ?? 0, end);
    of.running -= 1;
    if (of.running > 0) continue;
    // The next group is ready when the last task of this one has ended.
    of.phase += 1;
    const at = done[of.job] ?? 0;
    const next = of.phases[of.phase];
    if (next === undefined) ends[of.job] = at;
    else {
      of.running = next.length;
      ready.push(...next.map((seconds) => ({ at, seconds, of })));
    }
  }
  return ends;
}
