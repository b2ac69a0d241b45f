import { InputError } from '../../errors/index.js';
import type { DatabaseContext, DatabaseSettings, Tx } from '../connection/context.js';
import { Prisma, type Team } from '../generated/client.js';
import { noteDeed } from '../audit/audit-repository.js';
import { newId } from '../connection/ids.js';
import type { TeamLimits, TeamRecord } from '../records.js';
import type { TeamRepository } from '../repositories.js';
import { clearTeam, closeTeam, dropTeam } from './remove-team.js';
import { withQuickTries } from '../connection/transient-errors.js';

const teamRecord = (team: Team): TeamRecord => ({
  id: team.id,
  name: team.name,
  weight: team.weight,
  limits: {
    runningTasks: team.maxRunningTasks,
    queuedJobs: team.maxQueuedJobs,
    storageBytes: team.maxStorageBytes === null ? null : Number(team.maxStorageBytes),
    requestsPerMinute: team.requestsPerMinute,
  },
  createdAt: team.createdAt,
});

/** Only what is given: `undefined` leaves a column as it is. */
function columnsOf(limits: Partial<TeamLimits> = {}) {
  const { runningTasks, queuedJobs, storageBytes, requestsPerMinute } = limits;
  return {
    ...(runningTasks === undefined ? {} : { maxRunningTasks: runningTasks }),
    ...(queuedJobs === undefined ? {} : { maxQueuedJobs: queuedJobs }),
    ...(storageBytes === undefined
      ? {}
      : { maxStorageBytes: storageBytes === null ? null : BigInt(Math.floor(storageBytes)) }),
    ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
  };
}

const UNIQUE_VIOLATION = 'P2002';
const NOT_FOUND = 'P2025';

function refusal(error: unknown, name: string | undefined): unknown {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== UNIQUE_VIOLATION) return error;
  const detail = `there is a team with the name ${JSON.stringify(name ?? '')} already`;
  return new InputError('conflict', detail, { faults: [{ pointer: '/name', detail }] });
}

export async function storedBytes(tx: Tx, teamId: string): Promise<number> {
  const [sum] = await tx.$queryRaw<{ bytes: number }[]>`
    select (coalesce((select sum(bytes) from uploads where team_id = ${teamId}), 0)
      + coalesce((select sum(bytes) from artifacts where team_id = ${teamId}), 0))::float8 as bytes`;
  return sum?.bytes ?? 0;
}

export async function storageLimit(tx: Tx, teamId: string, settings: DatabaseSettings): Promise<number> {
  const team = await tx.team.findUnique({ where: { id: teamId }, select: { maxStorageBytes: true } });
  return team?.maxStorageBytes == null ? settings.MAX_STORAGE_BYTES : Number(team.maxStorageBytes);
}

export const teamRepository = (context: DatabaseContext): TeamRepository => {
  const { prisma, settings, transaction } = context;
  return {
    create({ name, weight, limits }, by) {
      const id = newId('team');
      return withQuickTries(async () => {
        try {
          return await transaction(async (tx) => {
            const team = await tx.team.create({ data: { id, name, weight, ...columnsOf(limits) } });
            await noteDeed(tx, by, {
              action: 'team.created',
              teamId: id,
              subject: id,
              detail: { name, weight, limits },
            });
            return teamRecord(team);
          });
        } catch (error) {
          // The try before may have made it although its answer was lost.
          const made = await prisma.team.findUnique({ where: { id } });
          if (made !== null) return teamRecord(made);
          throw refusal(error, name);
        }
      });
    },

    async get(teamId) {
      const team = await prisma.team.findUnique({ where: { id: teamId } });
      return team === null ? null : teamRecord(team);
    },

    async list({ after, limit }) {
      const teams = await prisma.team.findMany({
        orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
        take: limit + 1,
        ...(after === undefined ? {} : { cursor: { id: after }, skip: 1 }),
      });
      return { data: teams.slice(0, limit).map(teamRecord), hasMore: teams.length > limit };
    },

    async update(teamId, { name, weight, limits }, by) {
      const data = {
        ...(name === undefined ? {} : { name }),
        ...(weight === undefined ? {} : { weight }),
        ...columnsOf(limits),
      };
      try {
        return await transaction(async (tx) => {
          const team = await tx.team.update({ where: { id: teamId }, data });
          const detail = { name, weight, limits };
          await noteDeed(tx, by, { action: 'team.changed', teamId, subject: teamId, detail });
          return teamRecord(team);
        });
      } catch (error) {
        if (error instanceof Prisma.PrismaClientKnownRequestError && error.code === NOT_FOUND) return null;
        throw refusal(error, name);
      }
    },

    async usage(teamId) {
      const [runningTasks, openJobs, storageBytes] = await Promise.all([
        prisma.task.count({ where: { teamId, state: 'running' } }),
        prisma.job.count({ where: { teamId, status: { in: ['queued', 'running', 'canceling'] } } }),
        storedBytes(prisma, teamId),
      ]);
      return { runningTasks, openJobs, storageBytes };
    },

    async storageRoom(teamId) {
      const [limit, stored, { _max: largest }] = await Promise.all([
        storageLimit(prisma, teamId, settings),
        storedBytes(prisma, teamId),
        prisma.upload.aggregate({ where: { teamId }, _max: { bytes: true } }),
      ]);
      return { left: limit - stored, largest: Number(largest.bytes ?? 0) };
    },

    close: closeTeam(context),
    clear: clearTeam(context),
    drop: dropTeam(context),
  };
};
