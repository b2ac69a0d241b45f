import { canRun } from '../../scheduling/worker-classes.js';
import type { Tx } from '../connection/context.js';
import type { LaneRecord } from '../records.js';
import type { ReleasableTask } from '../repositories.js';
import { releasedTasks } from './lane-accounts.js';

/** Where a task is to go. */
export interface Destination {
  taskId: string;
  lane: string;
}

interface Row {
  id: string;
  attempt: number;
  lane: string;
}

const inOrder = (rows: Row[], asked: Destination[]): ReleasableTask[] => {
  const places = new Map(asked.map(({ taskId }, i) => [taskId, i]));
  return rows
    .map(({ id, ...task }) => ({ taskId: id, ...task }))
    .sort((a, b) => (places.get(a.taskId) ?? 0) - (places.get(b.taskId) ?? 0));
};

/**
 * Marked first, added to the queue after the commit: a worker never sees a task that is not released, and a relay that dies in
 * between leaves a released task that the reconciler misses in the queue.
 */
export async function markReleased(tx: Tx, tasks: Destination[]): Promise<ReleasableTask[]> {
  if (tasks.length === 0) return [];
  const marked = await tx.$queryRaw<Row[]>`
    update tasks set state = 'released', released_at = clock_timestamp(), lane = new.lane
    from jsonb_to_recordset(${JSON.stringify(tasks)}::jsonb) as new("taskId" text, lane text)
    where tasks.id = new."taskId" and tasks.id in (
      select id from tasks where id = any(${tasks.map((task) => task.taskId)}) and state = 'waiting' for no key update skip locked)
    returning tasks.id, tasks.attempt, tasks.lane`;
  return inOrder(marked, tasks);
}

/** To other workers, under a new attempt: the message that is in the queue is out of date when a worker gets it. */
export async function moveReleased(tx: Tx, tasks: Destination[]): Promise<ReleasableTask[]> {
  if (tasks.length === 0) return [];
  const moved = await tx.$queryRaw<Row[]>`
    update tasks set attempt = attempt + 1, released_at = clock_timestamp(), lane = new.lane
    from jsonb_to_recordset(${JSON.stringify(tasks)}::jsonb) as new("taskId" text, lane text)
    where tasks.id = new."taskId" and tasks.id in (
      select id from tasks where id = any(${tasks.map((task) => task.taskId)}) and state = 'released' for no key update skip locked)
    returning tasks.id, tasks.attempt, tasks.lane`;
  return inOrder(moved, tasks);
}

/** Back to waiting, under a new attempt. @returns those that no worker has taken meanwhile */
export async function takeBack(tx: Tx, taskIds: string[]): Promise<Set<string>> {
  if (taskIds.length === 0) return new Set();
  const out = await tx.$queryRaw<{ id: string }[]>`
    update tasks set state = 'waiting', attempt = attempt + 1
    where id in (select id from tasks where id = any(${taskIds}) and state = 'released' for no key update skip locked)
    returning id`;
  return new Set(out.map(({ id }) => id));
}

/** What was released to workers that are gone, or have changed. */
export async function takeBackOthers(tx: Tx, lanes: LaneRecord[]): Promise<void> {
  const stranded = (await releasedTasks(tx)).filter(
    (task) => !lanes.some((one) => one.lane === task.lane && canRun(task.needs, one)),
  );
  await takeBack(
    tx,
    stranded.map(({ taskId }) => taskId),
  );
}
