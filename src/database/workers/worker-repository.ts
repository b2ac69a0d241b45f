import { byOffer, laneOf, type Offer } from '../../scheduling/worker-classes.js';
import type { TaskKind } from '../../jobs/tasks.js';
import type { DatabaseContext, Tx } from '../connection/context.js';
import type { LaneRecord, WorkerRecord } from '../records.js';
import type { WorkerRepository } from '../repositories.js';

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
    select w.id, w.engine, w.device, w.threads, w.slots, w.class, w.device_memory_bytes::float8 as "deviceMemoryBytes",
      w.started_at as "startedAt", w.last_seen_at as "lastSeenAt",
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

/** The live workers by what they have, those with the least first. */
export async function liveLanes(tx: Tx): Promise<LaneRecord[]> {
  const offers = await tx.$queryRaw<(Offer & { workers: number; slots: number })[]>`
    select engine, class, device_memory_bytes::float8 as "deviceMemoryBytes", count(*)::int as workers, sum(slots)::int as slots
    from workers where last_seen_at > clock_timestamp() - make_interval(secs => ${SEEN_SECONDS}) group by 1, 2, 3`;
  const tasks = await tx.$queryRaw<{ lane: string; running: number; released: number }[]>`
    select lane, count(*) filter (where state = 'running')::int as running,
      count(*) filter (where state = 'released')::int as released
    from tasks where state in ('released', 'running') group by lane`;
  return offers.sort(byOffer).map((offer) => {
    const lane = laneOf(offer);
    const { running = 0, released = 0 } = tasks.find((one) => one.lane === lane) ?? {};
    return { ...offer, lane, running, released };
  });
}

export const workerRepository = ({ prisma }: DatabaseContext): WorkerRepository => ({
  async upsert({ id, class: label = null, deviceMemoryBytes = 0, ...rest }) {
    const lastSeenAt = new Date();
    const worker = { ...rest, class: label, deviceMemoryBytes: BigInt(deviceMemoryBytes) };
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
