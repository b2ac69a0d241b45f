import { InfrastructureError } from '../../errors/index.js';
import type { Assignment } from '../../jobs/tasks.js';
import { isStored } from '../../storage/is-stored.js';
import type { Storage } from '../../storage/storage.js';
import type { StoredFile } from './file-cache.js';

/** Of many lost files, so many are named. */
const NAMED = 3;

/**
 * What to say when the storage lacks a file that the client gave or an earlier step made: which files, and whose. All
 * that the task needs is looked at, not only the first one `found` missing: what is to be made again is made again at
 * once.
 */
export async function lostFiles({
  storage,
  assignment,
  needed,
  found,
  cause,
}: {
  storage: Pick<Storage, 'head'>;
  assignment: Assignment;
  needed: StoredFile[];
  found: string;
  cause: unknown;
}): Promise<InfrastructureError> {
  const missing: string[] = [found];
  for (const file of needed) {
    if (missing.includes(file.key)) continue;
    // Where the storage does not answer just now, the next attempt looks.
    if (!(await isStored(storage, file).catch(() => true))) missing.push(file.key);
  }
  const { inputs } = assignment;
  const given = (['model', 'calibration', 'evaluation'] as const).flatMap((part) => {
    const input = inputs[part];
    return input !== null && missing.includes(input.key) ? [`${part} (${input.filename}, sha256:${input.sha256})`] : [];
  });
  const made = assignment.finished.flatMap(({ kind, layer, point, files }) => {
    const of = layer !== null ? ` of layer ${layer}` : point !== null ? ` of point ${point}` : '';
    return files.filter(({ key }) => missing.includes(key)).map(({ name }) => `${name} of the step ${kind}${of}`);
  });
  const named = [...made.slice(0, NAMED), ...(made.length > NAMED ? [`${made.length - NAMED} more`] : [])].join(', ');
  const faults = [
    ...(given.length === 0 ? [] : [`the content of the job's ${given.join(' and ')}: send it to /uploads again`]),
    ...(made.length === 0 ? [] : [`${named}: made again at the next attempt`]),
  ];
  return new InfrastructureError('gone', `not stored any more: ${faults.join('; ')}`, { missing, cause });
}
