import type { Run } from '../../connection/context.js';
import type { WorkerClass } from '../../records.js';
import type { ReleasableTask } from '../../repositories.js';

/** Where a task is to go. */
export interface Destination {
  taskId: string;
  workerClass: string;
}

interface Row {
  id: string;
  attempt: number;
  workerClass: string;
}

const inOrder = (rows: Row[], asked: Destination[]): ReleasableTask[] => {
  const places = new Map(asked.map(({ taskId }, i) => [taskId, i]));
  return rows
    .map(({ id, ...task }) => ({ taskId: id, ...task }))
    .sort((a, b) => (places.get(a.taskId) ?? 0) - (places.get(b.taskId) ?? 0));
};

/**
 * Marked first, added to the queue after the commit: a worker never sees a task that is not released, and a relay that
 * dies in between leaves a released task that the reconciler misses in the queue.
 */
export async function markReleased(run: Run, tasks: Destination[]): Promise<ReleasableTask[]> {
  if (tasks.length === 0) return [];
  const marked = await run<Row>(
    'mark released',
    `with chosen as (
       select id, new.lane from unnest($1::text[], $2::text[]) as new(task, lane) join tasks on id = new.task
       where state = 'waiting' for no key update of tasks skip locked)
     update tasks set state = 'released', released_at = clock_timestamp(), lane = chosen.lane
     from chosen where tasks.id = chosen.id returning tasks.id, tasks.attempt, tasks.lane as "workerClass"`,
    [tasks.map(({ taskId }) => taskId), tasks.map(({ workerClass }) => workerClass)],
  );
  return inOrder(marked, tasks);
}

/** To other workers, under a new attempt: the message that is in the queue is out of date when a worker gets it. */
export async function moveReleased(run: Run, tasks: Destination[]): Promise<ReleasableTask[]> {
  if (tasks.length === 0) return [];
  const moved = await run<Row>(
    'move released',
    `with chosen as (
       select id, new.lane from unnest($1::text[], $2::text[]) as new(task, lane) join tasks on id = new.task
       where state = 'released' for no key update of tasks skip locked)
     update tasks set attempt = attempt + 1, released_at = clock_timestamp(), lane = chosen.lane
     from chosen where tasks.id = chosen.id returning tasks.id, tasks.attempt, tasks.lane as "workerClass"`,
    [tasks.map(({ taskId }) => taskId), tasks.map(({ workerClass }) => workerClass)],
  );
  return inOrder(moved, tasks);
}

/** Back to waiting, under a new attempt. @returns those that no worker has taken meanwhile */
export async function takeBack(run: Run, taskIds: string[]): Promise<Set<string>> {
  if (taskIds.length === 0) return new Set();
  const out = await run<{ id: string }>(
    'take back',
    `update tasks set state = 'waiting', attempt = attempt + 1
     where id in (select id from tasks where id = any($1) and state = 'released' for no key update skip locked)
     returning id`,
    [taskIds],
  );
  return new Set(out.map(({ id }) => id));
}

/** What was released to workers that are gone, or have changed. */
export async function takeBackOthers(run: Run, classes: WorkerClass[]): Promise<number> {
  const offers = classes.map(({ name, engine, deviceMemoryBytes, class: label }) => ({
    lane: name,
    engine,
    memory: deviceMemoryBytes,
    label,
  }));
  const stranded = await run<{ id: string }>(
    'stranded',
    `select t.id from tasks t
     where t.state in ('released', 'running') and t.state = 'released' and (t.needs is not null or t.lane <> all($2))
       and not exists (
       select from jsonb_to_recordset($1::jsonb) as l(lane text, engine text, memory float8, label text)
       where l.lane = t.lane and (t.needs is null or sparank_can_run(t.needs, l.engine, l.memory::bigint, l.label)))`,
    [JSON.stringify(offers), classes.map(({ name }) => name)],
  );
  const taken = await takeBack(
    run,
    stranded.map(({ id }) => id),
  );
  return taken.size;
}
