import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors/index.js';
import type { Assignment } from '../../jobs/tasks.js';
import { type Backoff, untilItWorks } from '../backoff.js';
import type { StepRequest } from '../compute/child/protocol.js';
import { lostFiles } from './lost-files.js';
import type { TaskDeps } from './task-deps.js';

/** The files that a step needs, in `directory`, and what its compute process is asked to do with them. */
export async function fetchInputs(
  deps: TaskDeps,
  assignment: Assignment,
  directory: string,
  backoff: Backoff,
): Promise<StepRequest> {
  const inputs = join(directory, 'inputs');
  const paths: Record<string, string> = {};
  const needed = deps.filesNeeded(assignment);
  if (needed.length > 0) await mkdir(inputs, { recursive: true });
  for (const file of needed) {
    if (paths[file.key] !== undefined) continue;
    const path = join(inputs, String(Object.keys(paths).length));
    paths[file.key] = path;
    try {
      await untilItWorks(() => deps.cache.fetch(file, path, backoff.signal), backoff);
    } catch (error) {
      if (backoff.signal.aborted || !(error instanceof InputError)) throw error;
      throw await lostFiles({ storage: deps.storage, assignment, needed, found: file.key, cause: error });
    }
  }
  const { limits, threads } = deps;
  return { assignment, paths, directory, limits, engine: deps.config.ENGINE, threads };
}
