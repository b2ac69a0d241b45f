import type { SerializedError } from '../../errors/index.js';
import { etaSeconds } from '../../jobs/progress.js';
import type { Metrics, Verdict } from '../../jobs/results.js';
import type { Needs } from '../../scheduling/worker-classes.js';
import { PRIORITIES, type Spec } from '../../jobs/spec.js';
import type { Phase } from '../../jobs/tasks.js';
import { type Job, Prisma } from '../generated/client.js';
import type { JobInputs, JobRecord, StoredPoint } from '../records.js';

export const priorityNumber = (priority: JobRecord['priority']): number => PRIORITIES.indexOf(priority);

/** A row, as Prisma reads it or as a statement of our own does. */
export interface WholeJob extends Omit<Job, 'seq' | 'queuedAt' | 'updatedAt' | 'traceparent'> {
  seq: bigint | number;
}

/** Its columns: Prisma's own way of reading a page of jobs takes twice the time. */
export const WHOLE_JOB = Prisma.sql`id, seq::float8 as seq, team_id as "teamId", status::text as status, phase, version, spec, inputs, labels,
  priority::int as priority, needs, fraction, layers_done as "layersDone", layers_total as "layersTotal", metrics, verdict, points, error,
  deadline_seconds as "deadlineSeconds", created_at as "createdAt", started_at as "startedAt", finished_at as "finishedAt",
  clock_running as "clockRunning", clock_at as "clockAt", queued_seconds as "queuedSeconds", running_seconds as "runningSeconds",
  device_seconds as "deviceSeconds"`;

/** The two clocks at `now`: they stand still once a job has ended. */
export function clocks(job: WholeJob, now = new Date()): JobRecord['seconds'] {
  const open = job.finishedAt === null ? Math.max(0, (now.getTime() - job.clockAt.getTime()) / 1000) : 0;
  return {
    queued: job.queuedSeconds + (job.clockRunning ? 0 : open),
    running: job.runningSeconds + (job.clockRunning ? open : 0),
    device: job.deviceSeconds,
  };
}

/** JSON columns hold what this program wrote, checked when it came in: the casts are the whole conversion. */
export function jobRecord(job: WholeJob): JobRecord {
  const seconds = clocks(job);
  return {
    id: job.id,
    seq: Number(job.seq),
    teamId: job.teamId,
    status: job.status,
    phase: job.phase as Phase,
    version: job.version,
    spec: job.spec as unknown as Spec,
    inputs: job.inputs as unknown as JobInputs,
    labels: job.labels as Record<string, string>,
    priority: PRIORITIES[job.priority] ?? 'normal',
    needs: job.needs as unknown as Needs,
    createdAt: job.createdAt,
    startedAt: job.startedAt,
    finishedAt: job.finishedAt,
    progress: {
      fraction: job.fraction,
      layersDone: job.layersDone,
      layersTotal: job.layersTotal,
      etaSeconds: job.status === 'running' ? etaSeconds(job.fraction, seconds.running) : null,
    },
    seconds,
    deadlineSeconds: job.deadlineSeconds,
    metrics: job.metrics as unknown as Metrics | null,
    verdict: job.verdict as unknown as Verdict | null,
    points: job.points as unknown as StoredPoint[] | null,
    error: job.error as unknown as SerializedError | null,
  };
}
