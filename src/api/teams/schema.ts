import { Type, type Static } from 'typebox';
import { SCOPES, type KeyRecord, type TeamLimits, type TeamRecord } from '../../database/records.js';
import { Nullable, Time } from '../schemas.js';

const Count = (description: string) =>
  Nullable(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description }));
const Small = (description: string) => Nullable(Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1, description }));

const limits = {
  running_tasks: Small('tasks that run at once; null: MAX_RUNNING_TASKS'),
  queued_jobs: Small('jobs queued or running; null: MAX_QUEUED_JOBS'),
  storage_bytes: Count('uploads and artifacts; null: MAX_STORAGE_BYTES'),
  requests_per_minute: Small('calls of each key; null: REQUESTS_PER_MINUTE'),
};

const Name = Type.String({ minLength: 1, maxLength: 100, pattern: '^[^\\u0000-\\u001f\\u007f]+$' });
const Weight = Type.Number({ minimum: 0.01, maximum: 1000, description: 'share of the pool relative to other teams' });

export const TeamSchema = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('team'),
    name: Type.String(),
    weight: Weight,
    limits: Type.Object(limits),
    created_at: Time,
  },
  { $id: 'Team' },
);

const LimitsChange = Type.Partial(Type.Object(limits, { additionalProperties: false }), {
  additionalProperties: false,
});

export const NewTeamSchema = Type.Object(
  { name: Name, weight: Type.Optional(Weight), limits: Type.Optional(LimitsChange) },
  { additionalProperties: false },
);

export const TeamChangeSchema = Type.Object(
  { name: Type.Optional(Name), weight: Type.Optional(Weight), limits: Type.Optional(LimitsChange) },
  { additionalProperties: false, minProperties: 1 },
);

const Scope = Type.Enum([...SCOPES]);

export const KeySchema = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('api_key'),
    team_id: Type.String(),
    name: Type.String(),
    prefix: Type.String({ description: 'first characters of the key, to recognise it by' }),
    scopes: Type.Array(Scope),
    created_at: Time,
    expires_at: Nullable(Time),
    last_used_at: Nullable(Type.String({ format: 'date-time', description: 'to the minute' })),
    revoked_at: Nullable(Time),
  },
  { $id: 'ApiKey' },
);

export const NewKeySchema = Type.Object(
  {
    name: Name,
    scopes: Type.Array(Scope, { minItems: 1, uniqueItems: true }),
    expires_at: Type.Optional(Nullable(Type.String({ description: 'RFC 3339; null or absent: never' }))),
  },
  { additionalProperties: false },
);

/** The one answer that has the key itself. */
export const MadeKeySchema = Type.Object(
  { ...KeySchema.properties, key: Type.String({ description: 'shown this once, and nowhere stored' }) },
  { $id: 'NewApiKey' },
);

export const presentTeam = (team: TeamRecord): Static<typeof TeamSchema> => ({
  id: team.id,
  object: 'team',
  name: team.name,
  weight: team.weight,
  limits: {
    running_tasks: team.limits.runningTasks,
    queued_jobs: team.limits.queuedJobs,
    storage_bytes: team.limits.storageBytes,
    requests_per_minute: team.limits.requestsPerMinute,
  },
  created_at: team.createdAt.toISOString(),
});

/** Only what was given. */
export function readLimits(given: Static<typeof LimitsChange> = {}): Partial<TeamLimits> {
  const { running_tasks, queued_jobs, storage_bytes, requests_per_minute } = given;
  return {
    ...(running_tasks === undefined ? {} : { runningTasks: running_tasks }),
    ...(queued_jobs === undefined ? {} : { queuedJobs: queued_jobs }),
    ...(storage_bytes === undefined ? {} : { storageBytes: storage_bytes }),
    ...(requests_per_minute === undefined ? {} : { requestsPerMinute: requests_per_minute }),
  };
}

export const presentKey = (key: KeyRecord): Static<typeof KeySchema> => ({
  id: key.id,
  object: 'api_key',
  team_id: key.teamId,
  name: key.name,
  prefix: key.prefix,
  scopes: key.scopes,
  created_at: key.createdAt.toISOString(),
  expires_at: key.expiresAt?.toISOString() ?? null,
  last_used_at: key.lastUsedAt?.toISOString() ?? null,
  revoked_at: key.revokedAt?.toISOString() ?? null,
});
