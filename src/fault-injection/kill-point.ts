import { unlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Moments between two things that cannot be done at once. Dying there must lose nothing and do nothing twice. */
export const KILL_POINTS = [
  /** The job and its first task are committed; the client has no answer, the task is in no queue. */
  'job-committed',
  /** A task is marked as released and not yet in the queue. */
  'released',
  /** A task is in the queue and the relay has not gone on. */
  'queued',
  /** In the compute process, in the middle of a layer. */
  'solving',
  /** The files of a step are stored and its result is not committed. */
  'uploaded',
  /** A result is committed and the queue has not been told that the message was handled. */
  'result-committed',
] as const;
export type KillPoint = (typeof KILL_POINTS)[number];

/**
 * A hook for tests. Where SPARANK_TEST_KILL names a directory, the process that comes to a point for which a file of
 * that name lies there removes the file and ends by SIGKILL: one process for one file. Without the variable nothing
 * happens.
 */
export function killPoint(point: KillPoint): void {
  const directory = process.env['SPARANK_TEST_KILL'];
  if (directory === undefined) return;
  try {
    unlinkSync(join(directory, point));
  } catch {
    return;
  }
  process.kill(process.pid, 'SIGKILL');
}
