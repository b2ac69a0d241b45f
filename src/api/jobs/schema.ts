import { Type, type Static } from 'typebox';
import type { ArtifactRecord, JobRecord, JobResult, JobRow, QueuePlace } from '../../database/records.js';
import { InfrastructureError, type SerializedError } from '../../errors/index.js';
import { targetsOf } from '../../jobs/points.js';
import { MetricsSchema, PointSchema, TaskErrorSchema, VerdictSchema } from '../../jobs/results.js';
import { PRIORITIES, SpecSchema, TargetSchema } from '../../jobs/spec.js';
import { JOB_STATUSES, type JobInput, PHASES } from '../../jobs/tasks.js';
import { Nullable, Time } from '../schemas.js';

export const PlaceSchema = Type.Object(
  {
    position: Type.Integer({ description: '1 is next' }),
    reason: Type.Union([
      Type.Literal('waiting_for_worker'),
      Type.Literal('no_such_worker'),
      Type.Literal('team_limit'),
      Type.Literal('higher_priority'),
    ]),
    expected_start_seconds: Nullable(Type.Number()),
  },
  { $id: 'QueuePlace' },
);

export const ArtifactSchema = Type.Object(
  {
    name: Type.String(),
    bytes: Type.Integer(),
    sha256: Type.String(),
    content_type: Type.String(),
    url: Type.String({ description: 'path to download from' }),
    expires_at: Time,
  },
  { $id: 'Artifact' },
);

const InputSchema = Type.Object({ filename: Type.String(), bytes: Type.Integer(), sha256: Type.String() });

export const StatusSchema = Type.Enum([...JOB_STATUSES]);

const ProgressSchema = Type.Object(
  {
    fraction: Type.Number({ description: '0..1' }),
    layers_done: Type.Integer(),
    layers_total: Type.Integer(),
    eta_seconds: Nullable(Type.Number()),
  },
  { $id: 'Progress' },
);

export const JobSchema = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('job'),
    status: StatusSchema,
    phase: Type.Enum([...PHASES]),
    progress: ProgressSchema,
    queue: Nullable(PlaceSchema),
    spec: SpecSchema,
    inputs: Type.Object(
      { model: InputSchema, calibration: InputSchema, evaluation: Nullable(InputSchema) },
      { description: 'the files, as they were sent' },
    ),
    labels: Type.Record(Type.String(), Type.String()),
    team_id: Type.String(),
    created_at: Time,
    started_at: Nullable(Time),
    finished_at: Nullable(Time),
    metrics: Nullable(MetricsSchema),
    verdict: Nullable(VerdictSchema),
    points: Type.Array(PointSchema, {
      description: 'one for every target; `metrics` and `verdict` are those of the first that was reached',
    }),
    artifacts: Type.Array(ArtifactSchema),
    error: Nullable(TaskErrorSchema),
    links: Type.Object({
      self: Type.String(),
      events: Type.String(),
      layers: Type.String(),
      artifacts: Type.String(),
      cancel: Type.String(),
    }),
  },
  { $id: 'Job' },
);

const JobResultSchema = Type.Object(
  {
    parameter_ratio: Type.Number({ description: 'times fewer parameters' }),
    speedup: Type.Number({ description: 'times faster' }),
    accuracy_drop: Nullable(Type.Number()),
    top1_agreement: Nullable(Type.Number({ description: 'share of the same answers' })),
  },
  { $id: 'JobResult', description: 'of the first target that was reached' },
);

export const JobRowSchema = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('job_row'),
    status: StatusSchema,
    phase: Type.Enum([...PHASES]),
    progress: ProgressSchema,
    queue: Nullable(PlaceSchema),
    priority: Type.Enum([...PRIORITIES]),
    labels: Type.Record(Type.String(), Type.String()),
    team_id: Type.String(),
    model: Type.String({ description: 'name of its file' }),
    targets: Type.Array(TargetSchema),
    created_at: Time,
    updated_at: Type.String({ format: 'date-time', description: 'when anything of it last changed' }),
    started_at: Nullable(Time),
    finished_at: Nullable(Time),
    verdict: Nullable(Type.Object({ passed: Type.Boolean() })),
    result: Nullable(JobResultSchema),
    error: Nullable(TaskErrorSchema),
  },
  { $id: 'JobRow', description: 'what a list shows of a job' },
);

export type JobRowView = Static<typeof JobRowSchema>;
export type JobView = Static<typeof JobSchema>;

export const presentPlace = (place: QueuePlace): Static<typeof PlaceSchema> => ({
  position: place.position,
  reason: place.reason,
  expected_start_seconds: place.expectedStartSeconds,
});

export const presentArtifact = (jobId: string, artifact: ArtifactRecord): Static<typeof ArtifactSchema> => ({
  name: artifact.name,
  bytes: artifact.bytes,
  sha256: artifact.sha256,
  content_type: artifact.contentType,
  url: `/jobs/${jobId}/artifacts/${encodeURIComponent(artifact.name)}`,
  expires_at: artifact.expiresAt.toISOString(),
});

const presentInput = ({ filename, bytes, sha256 }: JobInput): Static<typeof InputSchema> => ({
  filename,
  bytes,
  sha256,
});

/** The detail of our own failures stays in the logs. */
function presentError(error: SerializedError): JobView['error'] {
  const { code, origin, layer } = error;
  const detail = origin === 'input' ? error.detail : new InfrastructureError(code, '').title;
  return { code, detail, origin, layer };
}

const notPlanned = { model: null, metrics: null, verdict: null, error: null };

/** Before the plan is made there is nothing but the targets. */
const presentPoints = ({ points, spec }: JobRecord): JobView['points'] =>
  points?.map((point) => ({ ...point, error: point.error === null ? null : presentError(point.error) })) ??
  targetsOf(spec).map((target, i) => ({ point: i + 1, target, ...notPlanned }));

const presentProgress = (progress: JobRecord['progress']): JobView['progress'] => ({
  fraction: progress.fraction,
  layers_done: progress.layersDone,
  layers_total: progress.layersTotal,
  eta_seconds: progress.etaSeconds,
});

const presentResult = (result: JobResult): Static<typeof JobResultSchema> => ({
  parameter_ratio: result.parameterRatio,
  speedup: result.speedup,
  accuracy_drop: result.accuracyDrop,
  top1_agreement: result.agreement,
});

export const presentRow = (job: JobRow, place: QueuePlace | null): JobRowView => ({
  id: job.id,
  object: 'job_row',
  status: job.status,
  phase: job.phase,
  progress: presentProgress(job.progress),
  queue: place === null ? null : presentPlace(place),
  priority: job.priority,
  labels: job.labels,
  team_id: job.teamId,
  model: job.model,
  targets: job.targets,
  created_at: job.createdAt.toISOString(),
  updated_at: job.updatedAt.toISOString(),
  started_at: job.startedAt?.toISOString() ?? null,
  finished_at: job.finishedAt?.toISOString() ?? null,
  verdict: job.passed === null ? null : { passed: job.passed },
  result: job.result === null ? null : presentResult(job.result),
  error: job.error === null ? null : presentError(job.error),
});

export function presentJob(job: JobRecord, place: QueuePlace | null, artifacts: ArtifactRecord[]): JobView {
  const self = `/jobs/${job.id}`;
  return {
    id: job.id,
    object: 'job',
    status: job.status,
    phase: job.phase,
    progress: presentProgress(job.progress),
    queue: place === null ? null : presentPlace(place),
    spec: job.spec,
    inputs: {
      model: presentInput(job.inputs.model),
      calibration: presentInput(job.inputs.calibration),
      evaluation: job.inputs.evaluation === null ? null : presentInput(job.inputs.evaluation),
    },
    labels: job.labels,
    team_id: job.teamId,
    created_at: job.createdAt.toISOString(),
    started_at: job.startedAt?.toISOString() ?? null,
    finished_at: job.finishedAt?.toISOString() ?? null,
    metrics: job.metrics,
    verdict: job.verdict,
    points: presentPoints(job),
    artifacts: artifacts.map((artifact) => presentArtifact(job.id, artifact)),
    error: job.error === null ? null : presentError(job.error),
    links: {
      self,
      events: `${self}/events`,
      layers: `${self}/layers`,
      artifacts: `${self}/artifacts`,
      cancel: `${self}/cancel`,
    },
  };
}
