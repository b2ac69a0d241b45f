import type { DatabaseContext, DatabaseSettings, Tx } from '../../connection/context.js';
import type { PoolRepository } from '../../repositories.js';

/** Answers are replayed for this long. */
const IDEMPOTENCY_HOURS = 24;
const SILENT_WORKER_HOURS = 1;

interface Expiring {
  prisma: Tx;
  settings: DatabaseSettings;
}

// PostgreSQL looks into an index for `statement_timestamp()`, which stays the same for a statement, but reads every row
// for `clock_timestamp()`: with a million jobs, seconds to find that none is old enough.

/** What nobody asks for any more and has no file of its own. Call it again while anything was removed. */
export function expireRows({ prisma, settings }: Expiring): PoolRepository['expireRows'] {
  return async (limit) => ({
    idempotency_key: await prisma.$executeRaw`
      delete from idempotency_keys where (team_id, key) in (
        select team_id, key from idempotency_keys
        where created_at < statement_timestamp() - make_interval(hours => ${IDEMPOTENCY_HOURS}) limit ${limit})`,
    worker: await prisma.$executeRaw`
      delete from workers where last_seen_at < statement_timestamp() - make_interval(hours => ${SILENT_WORKER_HOURS})`,
    // The outer condition is the one that is looked at again after waiting for a retry of the job. Its artifacts have a
    // time of their own, so that their files are deleted with their rows.
    job: await prisma.$executeRaw`
      delete from jobs where finished_at < statement_timestamp() - make_interval(secs => ${settings.JOB_TTL_DAYS * 86_400}) and id in (
        select id from jobs where finished_at < statement_timestamp() - make_interval(secs => ${settings.JOB_TTL_DAYS * 86_400})
          and not exists (select from artifacts where job_id = jobs.id) order by finished_at limit ${limit})`,
    webhook: await prisma.$executeRaw`
      delete from webhook_deliveries
      where finished_at < statement_timestamp() - make_interval(secs => ${settings.WEBHOOK_TTL_DAYS * 86_400}) and id in (
        select id from webhook_deliveries
        where finished_at < statement_timestamp() - make_interval(secs => ${settings.WEBHOOK_TTL_DAYS * 86_400})
        order by finished_at limit ${limit})`,
    audit: await prisma.$executeRaw`
      delete from audit_log where seq in (
        select seq from audit_log where at < statement_timestamp() - make_interval(secs => ${settings.AUDIT_TTL_DAYS * 86_400})
        order by at limit ${limit})`,
    start_prediction: await prisma.$executeRaw`
      delete from start_predictions where job_id in (
        select job_id from start_predictions where made_at < statement_timestamp() - interval '1 day' order by made_at limit ${limit})`,
    webhook_secret: await prisma.$executeRaw`delete from webhook_secrets where expires_at < statement_timestamp()`,
  });
}

export function expire({ transaction }: DatabaseContext): PoolRepository['expire'] {
  return (limit) =>
    transaction(async (tx) => {
      // An upload stays while a job that has not ended may still read it, or when it is renewed at this very moment:
      // the outer condition is the one that is looked at again after waiting for that.
      const uploads = await tx.$queryRaw<{ key: string }[]>`
        delete from uploads where expires_at < statement_timestamp() and id in (
          select u.id from uploads u where u.expires_at < statement_timestamp() and not exists (
            select from jobs j where j.team_id = u.team_id and j.status in ('queued', 'running', 'canceling')
              and u.storage_key in (j.inputs->'model'->>'key', j.inputs->'calibration'->>'key', j.inputs->'evaluation'->>'key')
          ) order by u.expires_at limit ${limit}
        ) returning storage_key as key`;
      const artifacts = await tx.$queryRaw<{ key: string }[]>`
        delete from artifacts where (job_id, name) in (
          select job_id, name from artifacts where expires_at < statement_timestamp() order by expires_at limit ${limit}
        ) returning storage_key as key`;
      return [...uploads, ...artifacts].map((row) => row.key);
    });
}
