import type { LayerRow } from '../../jobs/results.js';
import type { DatabaseContext } from '../connection/context.js';
import type { Artifact } from '../generated/client.js';
import type { ArtifactRecord, EventType } from '../records.js';
import type { ArtifactRepository, EventRepository, LayerRepository } from '../repositories.js';

/**
 * What hangs on a job: its layers, events and artifacts. An empty list is told from an unknown job by asking for the
 * job.
 */

type Known = (teamId: string, jobId: string) => Promise<boolean>;

const known =
  ({ prisma }: DatabaseContext): Known =>
  async (teamId, jobId) =>
    (await prisma.job.count({ where: { id: jobId, teamId } })) === 1;

export function layerRepository(context: DatabaseContext): LayerRepository {
  const isKnown = known(context);
  return {
    async list(teamId, jobId, point = 1) {
      const layers = await context.prisma.layer.findMany({
        where: { teamId, jobId, point },
        orderBy: { index: 'asc' },
      });
      if (layers.length === 0 && !(await isKnown(teamId, jobId))) return null;
      return layers.map((layer) => layer.row as unknown as LayerRow);
    },
  };
}

export function eventRepository(context: DatabaseContext): EventRepository {
  const isKnown = known(context);
  return {
    async list(teamId, jobId, { after = 0, limit }) {
      const events = await context.prisma.event.findMany({
        where: { teamId, jobId, seq: { gt: after } },
        orderBy: { seq: 'asc' },
        take: limit + 1,
      });
      if (events.length === 0 && !(await isKnown(teamId, jobId))) return null;
      const data = events.slice(0, limit).map((event) => ({
        id: Number(event.seq),
        jobId: event.jobId,
        type: event.type as EventType,
        data: event.data as Record<string, unknown>,
        createdAt: event.createdAt,
      }));
      return { data, hasMore: events.length > limit };
    },
  };
}

export const artifactRecord = ({
  storageKey,
  bytes,
  jobId: _,
  teamId: _team,
  ...artifact
}: Artifact): ArtifactRecord => ({
  ...artifact,
  key: storageKey,
  bytes: Number(bytes),
});

export function artifactRepository(context: DatabaseContext): ArtifactRepository {
  const isKnown = known(context);
  return {
    async list(teamId, jobId) {
      const artifacts = await context.prisma.artifact.findMany({ where: { teamId, jobId }, orderBy: { name: 'asc' } });
      if (artifacts.length === 0 && !(await isKnown(teamId, jobId))) return null;
      return artifacts.map(artifactRecord);
    },
    async get(teamId, jobId, name) {
      const artifact = await context.prisma.artifact.findUnique({ where: { jobId_name: { jobId, name }, teamId } });
      return artifact === null ? null : artifactRecord(artifact);
    },
  };
}
