import { Type, type Static } from 'typebox';
import type { WorkerRecord } from '../../database/records.js';
import { Nullable, Time } from '../schemas.js';

/** What a job may ask for, beside the engine. */
export const Offer = {
  class: Nullable(Type.String()),
  device_memory_bytes: Type.Integer({ description: 'of the accelerator; 0 without one' }),
};

export const WorkerSchema = Type.Object(
  {
    id: Type.String(),
    engine: Type.String(),
    device: Type.String(),
    threads: Type.Integer(),
    slots: Type.Integer({ description: 'tasks it can run at once' }),
    ...Offer,
    busy_with: Nullable(
      Type.Object({
        job_id: Nullable(Type.String({ description: "null for another team's job, without the scope admin" })),
        team_id: Nullable(Type.String({ description: 'in the same way' })),
        task: Type.String(),
        layer: Nullable(Type.Integer()),
      }),
    ),
    out_of_service: Nullable(
      Type.Object(
        {
          code: Type.String(),
          reason: Nullable(Type.String({ description: 'with the scope admin' })),
          since: Time,
        },
        { description: 'for a fault of its own it takes no tasks until a probe succeeds' },
      ),
    ),
    draining_since: Nullable(Type.String({ format: 'date-time', description: 'it takes no more tasks since then' })),
    started_at: Time,
    last_seen_at: Time,
  },
  { $id: 'Worker' },
);

/** As the caller may know it: what is of its team, or all. */
export function presentWorker(
  worker: WorkerRecord,
  { teamId, admin }: { teamId: string | null; admin: boolean },
): Static<typeof WorkerSchema> {
  const { busy, trouble } = worker;
  const named = busy !== null && (busy.teamId === teamId || admin);
  return {
    id: worker.id,
    engine: worker.engine,
    device: worker.device,
    threads: worker.threads,
    slots: worker.slots,
    class: worker.class,
    device_memory_bytes: worker.deviceMemoryBytes,
    busy_with: busy && {
      job_id: named ? busy.jobId : null,
      team_id: named ? busy.teamId : null,
      task: busy.kind,
      layer: busy.layer,
    },
    out_of_service: trouble && { ...trouble, reason: admin ? trouble.reason : null },
    draining_since: worker.drainingSince?.toISOString() ?? null,
    started_at: worker.startedAt.toISOString(),
    last_seen_at: worker.lastSeenAt.toISOString(),
  };
}
