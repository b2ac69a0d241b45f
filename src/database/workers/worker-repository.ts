import { byOffer, workerClassOf, type Offer } from '../../scheduling/worker-classes.js';
import type { TaskKind } from '../../jobs/tasks.js';
import { noteDeed } from '../audit/audit-repository.js';
import { SESSION } from '../connection/notifications.js';
import type { DatabaseContext, Run, Tx } from '../connection/context.js';
import { Prisma } from '../generated/client.js';
import type { WorkerClass, WorkerRecord } from '../records.js';
import type { WorkerRepository } from '../repositories.js';

/** A worker that was not seen for this long has no places to fill. */
const SEEN_SECONDS = 60;
/** A connection that is lost is there again after this, and its worker seen; without one, the process has ended. */
const RECONNECT_SECONDS = 3;

/** Of a worker `w`: it was seen lately and takes tasks; it neither drains nor is out of service. */
const TAKES_TASKS = `(w.trouble is null and w.draining_since is null
  and w.last_seen_at > clock_timestamp() - interval '${String(SEEN_SECONDS)} s')`;
export const LIVE = Prisma.raw(TAKES_TASKS);

type Row = Omit<WorkerRecord, 'busy'> & {
  taskId: string | null;
  jobId: string;
  teamId: string;
  kind: TaskKind;
  layer: number;
};

export async function listWorkers(tx: Tx, only?: string): Promise<WorkerRecord[]> {
  const rows = await tx.$queryRaw<Row[]>`
    select w.id, w.engine, w.device, w.threads, w.slots, w.class, w.device_memory_bytes::float8 as "deviceMemoryBytes",
      w.trouble, w.started_at as "startedAt", w.last_seen_at as "lastSeenAt", w.draining_since as "drainingSince",
      t.id as "taskId", t.job_id as "jobId", t.team_id as "teamId", t.kind, t.layer
    from workers w
    left join (
      select distinct on (worker_id) * from tasks where state = 'running' order by worker_id, started_at
    ) t on t.worker_id = w.id
    where w.last_seen_at > clock_timestamp() - make_interval(secs => ${SEEN_SECONDS})
      and (w.session is null or w.last_seen_at > clock_timestamp() - make_interval(secs => ${RECONNECT_SECONDS})
        or ${SESSION} || w.session in (select application_name from pg_stat_activity))
      and (${only ?? null}::text is null or w.id = ${only ?? null}) order by w.id`;
  return rows.map(({ taskId, jobId, teamId, kind, layer, ...worker }) => ({
    ...worker,
    busy: taskId === null ? null : { taskId, jobId, teamId, kind, layer: layer < 0 ? null : layer },
  }));
}

type LiveOffer = Offer & { workers: number; slots: number };

/**
 * The live workers by what they have, those with the least first. What drains or is out of service has no places to
 * fill, and what it runs takes none.
 */
export async function liveClasses(run: Run): Promise<WorkerClass[]> {
  const [offers, tasks] = [await liveOffers(run), await inUseByClass(run)];
  return classesOf(offers, tasks);
}

export const liveOffers = (run: Run): Promise<LiveOffer[]> =>
  run(
    'live offers',
    `select engine, class, device_memory_bytes::float8 as "deviceMemoryBytes", count(*)::int as workers, sum(slots)::int as slots
     from workers w where ${TAKES_TASKS} group by 1, 2, 3`,
  );

const inUseByClass = (run: Run): Promise<Pick<WorkerClass, 'name' | 'running' | 'released'>[]> =>
  run(
    'tasks in use by class',
    `select lane as name, count(*) filter (where state = 'running' and not exists (
         select from workers w where w.id = tasks.worker_id and (w.draining_since is not null or w.trouble is not null)))::int
         as running,
       count(*) filter (where state = 'released')::int as released
     from tasks where state in ('released', 'running') group by lane`,
  );

export const classesOf = (
  offers: LiveOffer[],
  tasks: Pick<WorkerClass, 'name' | 'running' | 'released'>[],
): WorkerClass[] =>
  [...offers].sort(byOffer).map((offer) => {
    const name = workerClassOf(offer);
    const own = tasks.filter((one) => one.name === name);
    const sum = (of: (one: (typeof own)[number]) => number) => own.reduce((total, one) => total + of(one), 0);
    return { ...offer, name, running: sum((one) => one.running), released: sum((one) => one.released) };
  });

export const workerRepository = ({ prisma, prepared, transaction }: DatabaseContext): WorkerRepository => ({
  async upsert({ id, class: label = null, deviceMemoryBytes = 0, trouble = null, session, ...rest }) {
    const { engine, device, threads, slots } = rest;
    const [row] = await prepared<{ draining: boolean }>(
      'sign of life',
      // Forgotten in a crash of PostgreSQL, it comes again.
      `insert into workers as w (id, engine, device, threads, slots, class, device_memory_bytes, trouble, session, last_seen_at)
       select $1, $2, $3, $4, coalesce($5, 1), $6, $7, $8, $9, clock_timestamp() from set_config('synchronous_commit', 'off', true)
       on conflict (id) do update set engine = excluded.engine, device = excluded.device, threads = excluded.threads,
         slots = coalesce($5, w.slots), class = excluded.class, device_memory_bytes = excluded.device_memory_bytes,
         trouble = excluded.trouble, session = excluded.session, last_seen_at = excluded.last_seen_at
       returning draining_since is not null as draining`,
      [
        id,
        engine,
        device,
        threads,
        slots,
        label,
        deviceMemoryBytes,
        trouble === null ? null : JSON.stringify(trouble),
        session ?? null,
      ],
    );
    return { draining: row?.draining ?? false };
  },
  async remove(workerId) {
    await prisma.worker.deleteMany({ where: { id: workerId } });
  },
  drain: (workerId, draining, by) =>
    transaction(async (tx) => {
      const [worker] = await listWorkers(tx, workerId);
      if (worker === undefined) return null;
      const changed = await tx.$executeRaw`
        update workers set draining_since = case when ${draining} then clock_timestamp() end
        where id = ${workerId} and (draining_since is null) = ${draining}`;
      if (changed > 0) {
        const action = draining ? 'worker.drained' : 'worker.undrained';
        await noteDeed(tx, by, { action, teamId: null, subject: workerId });
        await tx.$executeRaw`select pg_notify('sparank', ${`worker:${workerId}`}), pg_notify('sparank', 'tasks')`;
      }
      return (await listWorkers(tx, workerId))[0] ?? null;
    }),
  list: () => listWorkers(prisma),
});
