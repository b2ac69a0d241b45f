import type { DatabaseContext } from '../connection/context.js';
import type { StartErrors } from '../records.js';
import type { PredictionRepository } from '../repositories.js';

/** Jobs that come faster than this are a sample of themselves. */
const NOTE_MS = 5_000;
/** A wait that is shorter is judged as if it were so long: a quarter of a second more or less is worth no word. */
const SHORTEST_WAIT_SECONDS = 10;

export function predictionRepository({ prisma }: DatabaseContext): PredictionRepository {
  let notedAt = -Infinity;
  return {
    async note(jobId, expectedSeconds) {
      if (performance.now() - notedAt < NOTE_MS) return;
      notedAt = performance.now();
      // The job may be gone already.
      await prisma.$executeRaw`
        insert into start_predictions (job_id, expected_seconds, made_at)
        select id, ${expectedSeconds}::float8, clock_timestamp() from jobs where id = ${jobId} on conflict do nothing`;
    },

    // A job that was tried again waits for another start than the one that was told.
    errors: () => prisma.$queryRaw<StartErrors[]>`
      select case when error <= 0.1 then '0.10' when error <= 0.25 then '0.25' when error <= 0.5 then '0.50' when error <= 1 then '1.00'
          else 'more' end as error, direction, count(*)::int as count
      from (
        select abs(told - took) / greatest(took, ${SHORTEST_WAIT_SECONDS}) as error, case when took < told then 'earlier' else 'later' end as direction
        from (
          select p.expected_seconds as told, extract(epoch from j.started_at - p.made_at)::float8 as took
          from start_predictions p join jobs j on j.id = p.job_id
          where j.started_at >= p.made_at and j.queued_at <= p.made_at and j.started_at > clock_timestamp() - interval '1 hour'
        ) as started
      ) as judged group by 1, 2`,
  };
}
