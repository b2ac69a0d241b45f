import type { DatabaseContext } from '../context.js';
import type { PoolRepository } from '../repositories.js';

/** Answers are replayed for this long. */
const IDEMPOTENCY_HOURS = 24;
const SILENT_WORKER_HOURS = 1;

export function expire({ prisma, transaction }: DatabaseContext): PoolRepository['expire'] {
  return async (limit) => {
    await prisma.$executeRaw`
      delete from idempotency_keys where created_at < clock_timestamp() - make_interval(hours => ${IDEMPOTENCY_HOURS})`;
    await prisma.$executeRaw`
      delete from workers where last_seen_at < clock_timestamp() - make_interval(hours => ${SILENT_WORKER_HOURS})`;
    return transaction(async (tx) => {
      // An upload stays while a job that has not ended may still read it, or when it is renewed at this very moment: the
      // outer condition is the one that is looked at again after waiting for that.
      const uploads = await tx.$queryRaw<{ key: string }[]>`
        delete from uploads where expires_at < clock_timestamp() and id in (
          select u.id from uploads u where u.expires_at < clock_timestamp() and not exists (
            select from jobs j where j.team_id = u.team_id and j.status in ('queued', 'running', 'canceling')
              and u.storage_key in (j.inputs->'model'->>'key', j.inputs->'calibration'->>'key', j.inputs->'evaluation'->>'key')
          ) order by u.expires_at limit ${limit}
        ) returning storage_key as key`;
      const artifacts = await tx.$queryRaw<{ key: string }[]>`
        delete from artifacts where (job_id, name) in (
          select job_id, name from artifacts where expires_at < clock_timestamp() order by expires_at limit ${limit}
        ) returning storage_key as key`;
      return [...uploads, ...artifacts].map((row) => row.key);
    });
  };
}
