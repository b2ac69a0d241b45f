import type { StepFile } from '../../../jobs/tasks.js';
import type { DatabaseContext } from '../../connection/context.js';
import { Prisma } from '../../generated/client.js';
import { workIsGone } from '../../jobs/job-state.js';
import type { NeededFile } from '../../records.js';
import type { PoolRepository } from '../../repositories.js';

interface Row {
  id: string;
  of: string;
  key: string;
  bytes: number;
}

/** One row of the answer for every row of the database: several files may hang on it. */
function grouped(rows: Row[]): { id: string; files: NeededFile[] }[] {
  const groups = new Map<string, NeededFile[]>();
  for (const { id, ...file } of rows) {
    const files = groups.get(id) ?? [];
    files.push(file);
    groups.set(id, files);
  }
  return [...groups].map(([id, files]) => ({ id, files }));
}

export function neededFiles({ prisma, settings }: DatabaseContext): PoolRepository['neededFiles'] {
  return async (kind, rows) => {
    const which = (id: Prisma.Sql) =>
      'ids' in rows ? Prisma.sql`${id} = any(${rows.ids})` : Prisma.sql`${id} > ${rows.after}`;
    const limit = 'ids' in rows ? rows.ids.length : rows.limit;
    switch (kind) {
      case 'upload':
        return grouped(
          await prisma.$queryRaw<Row[]>`
            select id, storage_key as key, bytes::float8 as bytes, 'the upload ' || id || ' of ' || team_id || ', ' || filename as of
            from uploads where ${which(Prisma.sql`id`)} and expires_at > clock_timestamp() order by id limit ${limit}`,
        );
      case 'artifact':
        return grouped(
          await prisma.$queryRaw<Row[]>`
            select job_id as id, storage_key as key, bytes::float8 as bytes, 'the artifact ' || name || ' of ' || job_id as of
            from artifacts where job_id in (
              select distinct job_id from artifacts where ${which(Prisma.sql`job_id`)} order by job_id limit ${limit})
            order by job_id, name`,
        );
      case 'work': {
        const tasks = await prisma.$queryRaw<{ id: string; of: string; files: StepFile[] | null }[]>`
          select t.id, t.files, 'the step ' || t.kind || case when t.layer >= 0 then ' of layer ' || t.layer else '' end
            || ' of ' || t.job_id as of
          from tasks t join jobs on jobs.id = t.job_id
          where ${which(Prisma.sql`t.id`)} and t.state = 'succeeded' and t.kind <> 'evaluate' and not ${workIsGone(settings)}
          order by t.id limit ${limit}`;
        return tasks.map(({ id, of, files }) => ({
          id,
          files: (files ?? []).map(({ name, key, bytes }) => ({ key, bytes, of: `${name} of ${of}` })),
        }));
      }
    }
  };
}
