import type { JobRow, Page } from './types.js';

/** What was told of each job: how it is now, or null where it is gone. */
export type Changes = ReadonlyMap<string, JobRow | null>;

export type RowPage = Page<JobRow> & { total?: number };

const newestFirst = (a: JobRow, b: JobRow): number =>
  a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : 0;

/**
 * What was read, and what was told since. A job that lies below the last known row comes with its page; a job whose
 * status is not asked for any more goes. What both know counts once, so a list that is read again needs no new
 * beginning.
 */
export function merge(pages: RowPage[], told: Changes, status: string): { jobs: JobRow[]; total: number } {
  const read = pages.flatMap(({ data }) => data);
  const known = new Map(read.map((row) => [row.id, row]));
  const statuses = status === '' ? null : new Set(status.split(','));
  const more = (pages.at(-1)?.next ?? null) !== null;
  const last = read.at(-1);
  let total = pages[0]?.total ?? read.length;
  const added: JobRow[] = [];
  for (const [id, row] of told) {
    const shown = known.get(id);
    // A list that was read after the change was told knows better.
    if (row !== null && shown !== undefined && row.updated_at < shown.updated_at) continue;
    const wanted = row !== null && (statuses?.has(row.status) ?? true);
    if (!wanted) {
      if (known.delete(id)) total--;
    } else if (shown !== undefined) known.set(id, row);
    else if (!more || last === undefined || row.created_at > last.created_at) {
      added.push(row);
      total++;
    }
  }
  const jobs = read.flatMap(({ id }) => known.get(id) ?? []);
  return { jobs: added.length === 0 ? jobs : [...added, ...jobs].sort(newestFirst), total };
}
