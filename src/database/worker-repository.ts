import type { TaskKind } from '../jobs/tasks.js';
import type { DatabaseContext, Tx } from './context.js';
import type { WorkerRecord } from './records.js';
import type { WorkerRepository } from './repositories.js';

/** A worker that was not seen for this long has no places to fill. */
export const SEEN_SECONDS = 60;

type Row = Omit<WorkerRecord, 'busy'> & {
  taskId: string | null;
  jobId: string;
  teamId: string;
  kind: TaskKind;
  layer: number;
};

export async function listWorkers(tx: Tx): Promise<WorkerRecord[]> {
  const rows = await tx.$queryRaw<Row[]>`
    select w.id, w.engine, w.device, w.threads, w.slots, w.started_at as "startedAt", w.last_seen_at as "lastSeenAt",
      t.id as "taskId", t.job_id as "jobId", t.team_id as "teamId", t.kind, t.layer
    from workers w
    left join lateral (
      select * from tasks where worker_id = w.id and state = 'running' order by started_at limit 1
    ) t on true
    where w.last_seen_at > clock_timestamp() - make_interval(secs => ${SEEN_SECONDS}) order by w.id`;
  return rows.map(({ taskId, jobId, teamId, kind, layer, ...worker }) => ({
    ...worker,
    busy: taskId === null ? null : { taskId, jobId, teamId, kind, layer: layer < 0 ? null : layer },
  }));
}

export const workerRepository = ({ prisma }: DatabaseContext): WorkerRepository => ({
  async upsert({ id, ...worker }) {
    const lastSeenAt = new Date();
    await prisma.worker.upsert({
      where: { id },
      create: { id, ...worker, lastSeenAt },
      update: { ...worker, lastSeenAt },
    });
  },
  async remove(workerId) {
    await prisma.worker.deleteMany({ where: { id: workerId } });
  },
  list: () => listWorkers(prisma),
});
