import { createHash } from 'node:crypto';
import { etaSeconds } from '../../jobs/progress.js';
import { PRIORITIES, type Target } from '../../jobs/spec.js';
import type { DatabaseContext } from '../connection/context.js';
import { Prisma } from '../generated/client.js';
import type { DigestedPage, JobFilter, JobRow } from '../records.js';
import type { JobRepository } from '../repositories.js';
import { changedSince, conditions } from './job-filter.js';
import { jobRecord, WHOLE_JOB, type WholeJob } from './job-record.js';

interface Row extends Omit<JobRow, 'priority' | 'progress' | 'targets'> {
  priority: number;
  fraction: number;
  layersDone: number;
  layersTotal: number;
  runningSeconds: number;
  target: Target;
  targets: Target[] | null;
}

/** Not the specification, and of the results what fits into a line. */
const COLUMNS = Prisma.sql`id, seq::float8 as seq, team_id as "teamId", status::text as status, phase, version, priority::int, needs, labels,
  fraction, layers_done as "layersDone", layers_total as "layersTotal",
  (running_seconds + case when clock_running then extract(epoch from clock_timestamp() - clock_at) else 0 end)::float8 as "runningSeconds",
  spec->'target' as target, spec->'targets' as targets, inputs->'model'->>'filename' as model,
  created_at as "createdAt", updated_at as "updatedAt", started_at as "startedAt", finished_at as "finishedAt",
  (verdict->>'passed')::boolean as passed, error,
  case when jsonb_typeof(metrics) = 'object' then jsonb_build_object('parameterRatio', metrics->'parameters'->'ratio',
    'speedup', metrics->'speedup', 'accuracyDrop', metrics->'accuracy'->'drop', 'agreement', metrics->'fidelity'->'top1_agreement')
    end as result`;

function jobRow(row: Row): JobRow {
  const { fraction, layersDone, layersTotal, runningSeconds, target, targets, priority, ...job } = row;
  const eta = job.status === 'running' ? etaSeconds(fraction, runningSeconds) : null;
  return {
    ...job,
    priority: PRIORITIES[priority] ?? 'normal',
    progress: { fraction, layersDone, layersTotal, etaSeconds: eta },
    targets: targets ?? [target],
  };
}

/** A statement of which every connection keeps the plan; its name says which one it is. */
const nameOf = (text: string): string => createHash('sha1').update(text).digest('hex');

const digestOf = (page: string, more: boolean): string =>
  createHash('sha1')
    .update(`${page}${more ? '+' : ''}`)
    .digest('base64url');
const pageOf = <T extends { id: string; version: number }>(data: T[], hasMore: boolean): DigestedPage<T> => ({
  data,
  hasMore,
  digest: digestOf(data.map(({ id, version }) => `${id}.${String(version)}`).join(','), hasMore),
});

type Lists = Pick<JobRepository, 'list' | 'rows' | 'count' | 'changes' | 'now' | 'digest' | 'openIds'>;

export function jobLists(context: DatabaseContext): Lists {
  const { prepared } = context;

  const run = <T>({ text, values }: Prisma.Sql): Promise<T[]> => prepared<T>(nameOf(text), text, values);

  /** The page with one more, to see whether there are any. */
  async function page<T>(columns: Prisma.Sql, teamId: string | null, filter: JobFilter): Promise<T[]> {
    const where = await conditions(context, teamId, filter);
    return run<T>(Prisma.sql`select ${columns} from jobs where ${where} order by seq desc limit ${filter.limit + 1}`);
  }

  async function digest(teamId: string, filter: JobFilter): Promise<string> {
    const where = await conditions(context, teamId, filter);
    const { limit } = filter;
    const [row] = await run<{ page: string | null; more: boolean }>(Prisma.sql`
      select string_agg(id || '.' || version, ',' order by seq desc) filter (where place <= ${limit}) as page, count(*) > ${limit} as more
      from (select id, version, seq, row_number() over (order by seq desc) as place
        from jobs where ${where} order by seq desc limit ${limit + 1}) as page`);
    return digestOf(row?.page ?? '', row?.more ?? false);
  }

  return {
    async list(teamId, filter) {
      const where = await conditions(context, teamId, filter);
      // Chosen by their numbers first: were whole jobs to be sorted, and not the few of the page, it would take long.
      const jobs = await run<WholeJob>(Prisma.sql`
        select ${WHOLE_JOB} from jobs
        where seq = any(array(select seq from jobs where ${where} order by seq desc limit ${filter.limit + 1})) order by seq desc`);
      return pageOf(jobs.slice(0, filter.limit).map(jobRecord), jobs.length > filter.limit);
    },

    async rows(teamId, filter) {
      const rows = await page<Row>(COLUMNS, teamId, filter);
      return pageOf(rows.slice(0, filter.limit).map(jobRow), rows.length > filter.limit);
    },

    async count(teamId, filter) {
      const { after: _, ...whole } = filter;
      const where = await conditions(context, teamId, whole);
      const [row] = await run<{ count: number }>(Prisma.sql`select count(*)::int as count from jobs where ${where}`);
      return row?.count ?? 0;
    },

    async changes(teamId, since, limit) {
      const own = teamId === null ? Prisma.sql`true` : Prisma.sql`team_id = ${teamId}`;
      const rows = await run<Row>(Prisma.sql`
        select ${COLUMNS} from jobs where ${own} and ${changedSince(since)} order by updated_at, seq limit ${limit}`);
      return rows.map(jobRow);
    },

    async now() {
      const [row] = await prepared<{ now: Date }>('now', 'select clock_timestamp() as now');
      return row?.now ?? new Date();
    },

    digest,

    async openIds(teamId, filter) {
      const where = await conditions(context, teamId, filter);
      const rows = await run<{ id: string; open: boolean }>(Prisma.sql`
        select id, status in ('queued', 'running') as open from jobs where ${where} order by seq`);
      return { ids: rows.filter(({ open }) => open).map(({ id }) => id), matched: rows.length };
    },
  };
}
