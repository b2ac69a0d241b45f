import { InfrastructureError } from '../../errors/index.js';
import type { Assignment, FinishedTask, StepFile, TaskKind } from '../../jobs/tasks.js';

/** All finished tasks of one kind. */
export function finishedOf<K extends TaskKind>(assignment: Pick<Assignment, 'finished'>, kind: K): FinishedTask<K>[] {
  return assignment.finished.filter((task): task is FinishedTask<K> => task.kind === kind);
}

export function finishedOne<K extends TaskKind>(assignment: Pick<Assignment, 'finished'>, kind: K): FinishedTask<K> {
  const [task] = finishedOf(assignment, kind);
  if (task === undefined) throw new InfrastructureError('compute_failed', `the result of the step ${kind} is missing`);
  return task;
}

/** A file that a step leaves only in some cases. */
export const optionalFileOf = (task: FinishedTask, name: string): StepFile | null =>
  task.files.find((f) => f.name === name) ?? null;

export function fileOf(task: FinishedTask, name: string): StepFile {
  const file = optionalFileOf(task, name);
  if (file === null) throw new InfrastructureError('compute_failed', `the step ${task.kind} left no file ${name}`);
  return file;
}

export function keyOf(task: FinishedTask, name: string): string {
  return fileOf(task, name).key;
}
