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
    draining_since: Nullable(Type.String({ format: 'date-time', description: 'it takes no more tasks since then' })),
    started_at: Time,
    last_seen_at: Time,
  },
  { $id: 'Worker' },
);

/** @param mayName whether the caller may know whose job it is */
export function presentWorker(worker: WorkerRecord, mayName: (teamId: string) => boolean): Static<typeof WorkerSchema> {
  const { busy } = worker;
  const named = busy !== null && mayName(busy.teamId);
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
    draining_since: worker.drainingSince?.toISOString() ?? null,
    started_at: worker.startedAt.toISOString(),
    last_seen_at: worker.lastSeenAt.toISOString(),
  };
}
