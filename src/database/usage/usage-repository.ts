import type { DatabaseContext, Tx } from '../connection/context.js';
import { Prisma } from '../generated/client.js';
import type { UsageGroup, UsageRow } from '../records.js';
import type { UsageRepository } from '../repositories.js';

/** What a group is in SQL. */
const columnOf = (group: UsageGroup, label: string | null): Prisma.Sql =>
  ({
    day: Prisma.sql`to_char(day, 'YYYY-MM-DD')`,
    team: Prisma.sql`team_id`,
    job: Prisma.sql`nullif(job_id, '')`,
    label: Prisma.sql`labels->>${label ?? ''}`,
  })[group];

export const usageRepository = ({ prisma }: DatabaseContext): UsageRepository => ({
  sum(teamId, { from, to, by, label, limit }) {
    const column = (group: UsageGroup) => (by.includes(group) ? columnOf(group, label) : Prisma.sql`null::text`);
    return prisma.$queryRaw<UsageRow[]>`
      select ${column('day')} as day, ${column('team')} as "teamId", ${column('job')} as "jobId", ${column('label')} as label,
        sum(jobs)::int as jobs, sum(tasks)::int as tasks, sum(device_seconds)::float8 as "deviceSeconds",
        sum(upload_bytes)::float8 as "uploadBytes", sum(artifact_bytes)::float8 as "artifactBytes"
      from usage
      where day between ${from}::date and ${to}::date and ${teamId === null ? Prisma.sql`true` : Prisma.sql`team_id = ${teamId}`}
      group by 1, 2, 3, 4 order by 1, 2, 3, 4 limit ${limit}`;
  },
});

/** Adds to the sums of today (UTC). `jobId` is empty for what belongs to no job. */
export async function addUsage(
  tx: Tx,
  teamId: string,
  jobId: string,
  add: { uploadBytes?: number; artifactBytes?: number },
): Promise<void> {
  await tx.$executeRaw`
    insert into usage as u (team_id, day, job_id, labels, upload_bytes, artifact_bytes)
    values (${teamId}, (clock_timestamp() at time zone 'UTC')::date, ${jobId},
      coalesce((select labels from jobs where id = ${jobId}), '{}'), ${add.uploadBytes ?? 0}, ${add.artifactBytes ?? 0})
    on conflict (team_id, day, job_id) do update set upload_bytes = u.upload_bytes + excluded.upload_bytes,
      artifact_bytes = u.artifact_bytes + excluded.artifact_bytes`;
}
