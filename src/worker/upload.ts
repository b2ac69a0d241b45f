import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Assignment, StepFile } from '../jobs/tasks.js';
import type { Storage } from '../storage/storage.js';

/** Where the files of one attempt go: no two attempts share a key, so a late one cannot overwrite a good one. */
export function outputPrefix(task: Pick<Assignment, 'jobId' | 'taskId' | 'kind' | 'attempt'>): string {
  return task.kind === 'evaluate'
    ? `jobs/${task.jobId}/artifacts/${task.attempt}/`
    : `jobs/${task.jobId}/work/${task.taskId}.${task.attempt}/`;
}

/** Uploads every file of `directory`. */
export async function uploadOutput(
  storage: Storage,
  directory: string,
  prefix: string,
  signal: AbortSignal,
): Promise<StepFile[]> {
  const names = (await readdir(directory)).sort();
  const files: StepFile[] = [];
  for (const name of names) {
    const key = `${prefix}${name}`;
    const stored = await storage.put(key, createReadStream(join(directory, name)), { signal });
    files.push({ name, key, ...stored });
  }
  return files;
}
