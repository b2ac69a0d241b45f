import { InputError } from '../../errors/index.js';
import { jobPrefix } from '../../jobs/files.js';
import { noteDeed } from '../audit/audit-repository.js';
import type { DatabaseContext, Tx } from '../connection/context.js';
import { cancelOpenTasks } from '../jobs/job-state.js';
import { DEFAULT_TEAM } from '../records.js';
import type { TeamRepository } from '../repositories.js';

const OPEN = ['queued', 'running', 'canceling'] as const;

/**
 * The first of three steps: from here on nobody gets in with a key of the team. A process that dies in between leaves a
 * team without keys, and removing it again goes on.
 */
export function closeTeam({ transaction }: DatabaseContext): TeamRepository['close'] {
  return (teamId, { cancelJobs }, by) =>
    transaction(async (tx) => {
      const [team] = await tx.$queryRaw<{ name: string }[]>`
        select name from teams where id = ${teamId} for no key update`;
      if (team === undefined) return false;
      if (teamId === DEFAULT_TEAM)
        throw new InputError('conflict', 'the team that the service itself belongs to cannot be removed');
      const openJobs = await tx.job.count({ where: { teamId, status: { in: [...OPEN] } } });
      if (openJobs > 0 && !cancelJobs) {
        throw new InputError(
          'conflict',
          `the team has ${openJobs} jobs that have not ended: cancel them first, or remove it with cancel_jobs=true`,
        );
      }
      await tx.apiKey.updateMany({ where: { teamId, revokedAt: null }, data: { revokedAt: new Date() } });
      await noteDeed(tx, by, {
        action: 'team.removed',
        teamId,
        subject: teamId,
        detail: { name: team.name, open_jobs: openJobs },
      });
      return true;
    });
}

/** The second one, again and again: rows first, so that nobody is given a file that is about to go. */
export function clearTeam({ prisma, transaction }: DatabaseContext): TeamRepository['clear'] {
  return async (teamId, limit) => {
    const jobs = await prisma.job.findMany({ where: { teamId }, select: { id: true, status: true }, take: limit });
    for (const { id } of jobs.filter(({ status }) => OPEN.some((one) => one === status)))
      await transaction((tx) => endOpen(tx, id));
    await prisma.job.deleteMany({ where: { id: { in: jobs.map(({ id }) => id) } } });
    const uploads = await prisma.$queryRaw<{ key: string }[]>`
      delete from uploads where id in (select id from uploads where team_id = ${teamId} limit ${limit})
      returning storage_key as key`;
    return { prefixes: jobs.map(({ id }) => jobPrefix(id)), keys: uploads.map(({ key }) => key) };
  };
}

/** What its running tasks have used so far is counted; their workers hear of it with their next heartbeat. */
async function endOpen(tx: Tx, jobId: string): Promise<void> {
  await tx.$queryRaw`select id from jobs where id = ${jobId} for no key update`;
  await cancelOpenTasks(tx, jobId);
  await tx.job.deleteMany({ where: { id: jobId } });
  await tx.$executeRaw`select pg_notify('sparank', ${`cancel:${jobId}`})`;
}

/** The last one: whatever else names the team goes with it, but its usage stays. */
export function dropTeam({ prisma }: DatabaseContext): TeamRepository['drop'] {
  return async (teamId) => {
    await prisma.team.deleteMany({ where: { id: teamId } });
  };
}
