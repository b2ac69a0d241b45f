import type { InspectResult, NetworkNode, TaskKind } from '../../jobs/tasks.js';
import type { SerializedError } from '../../errors/index.js';
import type { DatabaseContext } from '../connection/context.js';
import { NO_LAYER, NO_POINT } from '../jobs/job-state.js';
import type { TaskRecord } from '../records.js';
import type { TaskRepository } from '../repositories.js';

/** The tasks of a job, as its team may see them. */
export function taskRepository({ prisma }: DatabaseContext): TaskRepository {
  const isKnown = async (teamId: string, jobId: string) =>
    (await prisma.job.count({ where: { id: jobId, teamId } })) === 1;
  return {
    async list(teamId, jobId) {
      const tasks = await prisma.task.findMany({
        where: { teamId, jobId },
        // The results are large, and shown elsewhere.
        omit: { result: true, files: true },
        orderBy: [{ createdAt: 'asc' }, { layer: 'asc' }, { point: 'asc' }],
      });
      if (tasks.length === 0 && !(await isKnown(teamId, jobId))) return null;
      return tasks.map((task): TaskRecord => ({
        id: task.id,
        kind: task.kind as TaskKind,
        layer: task.layer === NO_LAYER ? null : task.layer,
        point: task.point === NO_POINT ? null : task.point,
        state: task.state,
        attempt: task.attempt,
        failures: task.failures,
        handBacks: task.handBacks,
        workerId: task.workerId,
        createdAt: task.createdAt,
        startedAt: task.startedAt,
        finishedAt: task.finishedAt,
        deviceSeconds: task.deviceSeconds,
        peakBytes: task.peakBytes === null ? null : Number(task.peakBytes),
        error: (task.error as SerializedError | null)?.code ?? null,
      }));
    },
    async network(teamId, jobId): Promise<NetworkNode[] | null> {
      const task = await prisma.task.findFirst({
        where: { teamId, jobId, kind: 'inspect', state: 'succeeded' },
        select: { result: true },
      });
      return (task?.result as InspectResult | null | undefined)?.graph ?? null;
    },
  };
}
