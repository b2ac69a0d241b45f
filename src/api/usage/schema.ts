import { stringify } from 'csv-stringify/sync';
import { Type, type Static } from 'typebox';
import { USAGE_GROUPS, type UsageRow } from '../../database/records.js';
import { Nullable } from '../schemas.js';

const sums = {
  jobs: Type.Integer({ description: 'submitted on the day' }),
  tasks: Type.Integer({ description: 'attempts that ended' }),
  device_seconds: Type.Number({ description: 'by the day on which an attempt ended' }),
  upload_bytes: Type.Integer({ description: 'stored by uploads, which belong to no job' }),
  artifact_bytes: Type.Integer({ description: 'of the artifacts that jobs made' }),
};

export const UsageRowSchema = Type.Object(
  {
    day: Nullable(Type.String({ description: 'UTC' })),
    team_id: Nullable(Type.String()),
    job_id: Nullable(Type.String()),
    label: Nullable(Type.String({ description: 'value of the label; null for what does not have it' })),
    ...sums,
  },
  { $id: 'UsageRow' },
);

export const UsageSchema = Type.Object(
  {
    from: Type.String(),
    to: Type.String(),
    by: Type.Array(Type.Enum([...USAGE_GROUPS])),
    data: Type.Array(UsageRowSchema, { description: 'a group that was not asked for is null' }),
    total: Type.Object(sums),
  },
  { $id: 'Usage' },
);

type Row = Static<typeof UsageRowSchema>;

export const presentUsage = (row: UsageRow): Row => ({
  day: row.day,
  team_id: row.teamId,
  job_id: row.jobId,
  label: row.label,
  jobs: row.jobs,
  tasks: row.tasks,
  device_seconds: row.deviceSeconds,
  upload_bytes: row.uploadBytes,
  artifact_bytes: row.artifactBytes,
});

export function totalOf(rows: Row[]): Static<typeof UsageSchema>['total'] {
  const sum = (of: (row: Row) => number) => rows.reduce((total, row) => total + of(row), 0);
  return {
    jobs: sum((row) => row.jobs),
    tasks: sum((row) => row.tasks),
    device_seconds: sum((row) => row.device_seconds),
    upload_bytes: sum((row) => row.upload_bytes),
    artifact_bytes: sum((row) => row.artifact_bytes),
  };
}

/** RFC 4180. A label may be anything: what a spreadsheet would run as a formula gets an apostrophe in front. */
export const usageCsv = (rows: Row[]): string =>
  stringify(rows, {
    header: true,
    columns: Object.keys(UsageRowSchema.properties),
    escape_formulas: true,
    record_delimiter: 'windows',
  });
