import { InputError } from '../../errors/index.js';
import { Prisma } from '../generated/client.js';
import type { DatabaseContext } from '../connection/context.js';
import type { JobFilter } from '../records.js';

/** An open job may have changed at any time; one that has ended has not changed since, but for moments. */
const END_SECONDS = 60;

export const changedSince = (since: Date): Prisma.Sql => Prisma.sql`(updated_at >= ${since}
  and (status in ('queued', 'running', 'canceling') or finished_at >= ${new Date(since.getTime() - END_SECONDS * 1000)}))`;

/** `%` and `_` are characters like any other. */
const anywhere = (text: string): string => `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`;

const contains = (text: string): Prisma.Sql => Prisma.sql`(id ilike ${anywhere(text)}
  or exists (select from jsonb_each_text(labels) as label where label.value ilike ${anywhere(text)})
  or inputs->'model'->>'filename' ilike ${anywhere(text)})`;

/** @throws InputError when the job that the cursor names is not there */
export async function conditions(
  { prisma }: Pick<DatabaseContext, 'prisma'>,
  teamId: string | null,
  filter: Omit<JobFilter, 'limit'>,
): Promise<Prisma.Sql> {
  const all = [teamId === null ? Prisma.sql`true` : Prisma.sql`team_id = ${teamId}`];
  if (filter.ids !== undefined) all.push(Prisma.sql`id = any(${filter.ids})`);
  if (filter.status !== undefined) all.push(Prisma.sql`status::text = any(${filter.status})`);
  if (filter.labels !== undefined && Object.keys(filter.labels).length > 0)
    all.push(Prisma.sql`labels @> ${JSON.stringify(filter.labels)}::jsonb`);
  if (filter.createdAfter !== undefined) all.push(Prisma.sql`created_at > ${filter.createdAfter}`);
  if (filter.updatedAfter !== undefined)
    all.push(Prisma.sql`updated_at > ${filter.updatedAfter}`, changedSince(filter.updatedAfter));
  if (filter.text !== undefined) all.push(contains(filter.text));
  if (filter.after !== undefined) {
    const last = await prisma.job.findUnique({
      where: { id: filter.after, ...(teamId === null ? {} : { teamId }) },
      select: { seq: true },
    });
    if (last === null) {
      const detail = 'the job that the cursor names is not there (any more)';
      throw new InputError('invalid_request', detail, { faults: [{ pointer: '/after', detail }] });
    }
    all.push(Prisma.sql`seq < ${last.seq}`);
  }
  return Prisma.join(all, ' and ');
}
