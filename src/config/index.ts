import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { Type, type Static } from 'typebox';
import Value from 'typebox/value';
import { ENGINE_CHOICES, type EngineChoice } from '../engines/index.js';

const NAMED_NETWORKS = ['loopback', 'linklocal', 'uniquelocal'];

function isNetwork(text: string): boolean {
  if (NAMED_NETWORKS.includes(text)) return true;
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

/** Every setting, its default and its meaning. The environment is read here and nowhere else. */
const ConfigSchema = Type.Object({
  HOST: Type.String({ default: '127.0.0.1', description: 'address the API listens on' }),
  PORT: Type.Integer({
    default: 8080,
    minimum: 0,
    maximum: 65535,
    description: 'port the API listens on; 0 takes a free one',
  }),
  DATABASE_URL: Type.Optional(
    Type.String({ pattern: '^postgres(ql)?://', description: 'PostgreSQL; absent: an embedded one under DATA_DIR' }),
  ),
  REDIS_URL: Type.Optional(
    Type.String({ pattern: '^rediss?://', description: 'Redis for the queue; absent: the queue lives in PostgreSQL' }),
  ),
  STORAGE_URL: Type.Optional(
    Type.String({
      pattern: '^(file:///|s3://)',
      description: 'file:///path or s3://bucket?endpoint=...; absent: DATA_DIR/storage',
    }),
  ),
  DATA_DIR: Type.String({ default: './.data', description: 'embedded database, local storage, scratch files' }),
  BOOTSTRAP_API_KEY: Type.Optional(Type.String({ minLength: 20, description: 'the first admin key' })),
  ENGINE: Type.Unsafe<EngineChoice>(
    Type.Union(
      ENGINE_CHOICES.map((engine) => Type.Literal(engine)),
      { default: 'auto', description: 'what workers compute on' },
    ),
  ),
  WORKER_CLASS: Type.Optional(
    Type.String({ pattern: '^[a-z0-9][a-z0-9_-]{0,31}$', description: 'label of the workers, which jobs may ask for' }),
  ),
  DEVICE_MEMORY_BYTES: Type.Integer({
    default: 0,
    minimum: 0,
    description: "memory of a worker's accelerator, which jobs may ask for; 0: as nvidia-smi says, none without it",
  }),
  THREADS: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 1024,
    description: 'compute threads of a worker; 0: all cores',
  }),
  WORKERS: Type.Integer({ default: 1, minimum: 0, maximum: 64, description: 'workers inside `sparank start`' }),
  LOG_LEVEL: Type.Union(
    [
      Type.Literal('trace'),
      Type.Literal('debug'),
      Type.Literal('info'),
      Type.Literal('warn'),
      Type.Literal('error'),
      Type.Literal('fatal'),
      Type.Literal('silent'),
    ],
    { default: 'info', description: 'the least that is logged' },
  ),
  LEASE_SECONDS: Type.Number({
    default: 15,
    minimum: 1,
    maximum: 600,
    description: 'a worker silent for this long has lost its task',
  }),
  TASK_ATTEMPTS: Type.Integer({
    default: 5,
    minimum: 1,
    maximum: 100,
    description: 'attempts per task when the service is at fault',
  }),
  OUTAGE_SECONDS: Type.Number({
    default: 300,
    minimum: 0,
    maximum: 86_400,
    description: 'a worker waits this long for a storage or database that is away before its attempt fails',
  }),
  MAX_UPLOAD_BYTES: Type.Integer({ default: 8 * 2 ** 30, minimum: 1, description: 'size of one upload' }),
  MAX_BODY_BYTES: Type.Integer({ default: 1 << 20, minimum: 1, description: 'size of a JSON body' }),
  MAX_ARCHIVE_ENTRIES: Type.Integer({ default: 10_000, minimum: 1, description: 'files in a zip' }),
  MAX_ARCHIVE_RATIO: Type.Number({ default: 100, minimum: 1, description: 'expanded size over packed size of a zip' }),
  MAX_MODEL_BYTES: Type.Integer({
    default: 8 * 2 ** 30,
    minimum: 1,
    description: 'a model with its external data, expanded',
  }),
  MAX_GRAPH_NODES: Type.Integer({ default: 100_000, minimum: 1, description: 'nodes of a model' }),
  MAX_TENSOR_ELEMENTS: Type.Integer({ default: 2 ** 31 - 1, minimum: 1, description: 'elements of one tensor' }),
  MAX_CALIBRATION_SAMPLES: Type.Integer({ default: 1_000_000, minimum: 1, description: 'samples of a dataset' }),
  MAX_QUEUED_JOBS: Type.Integer({ default: 10_000, minimum: 1, description: 'queued and running jobs of a team' }),
  MAX_RUNNING_TASKS: Type.Integer({ default: 10_000, minimum: 1, description: 'tasks of a team that run at once' }),
  MAX_STORAGE_BYTES: Type.Integer({ default: 2 ** 40, minimum: 1, description: 'uploads and artifacts of a team' }),
  REQUESTS_PER_MINUTE: Type.Integer({ default: 12_000, minimum: 1, description: 'calls of one API key' }),
  UPLOADS_PER_TEAM: Type.Integer({
    default: 100,
    minimum: 1,
    description: 'requests of a team whose files are being received or fetched at once, in each API process',
  }),
  STREAMS_PER_KEY: Type.Integer({
    default: 1000,
    minimum: 1,
    description: 'event streams of one API key that are open at once, in each API process',
  }),
  INVALID_KEYS_PER_MINUTE: Type.Integer({
    default: 60,
    minimum: 1,
    description: 'calls of one client address with keys that are not valid',
  }),
  TRUST_PROXY: Type.Refine(
    Type.String({
      default: '',
      description:
        'comma-separated addresses or networks of proxies, or `loopback`, `linklocal`, `uniquelocal`, whose `X-Forwarded-*` headers are believed',
    }),
    (value) => value === '' || value.split(',').every((one) => isNetwork(one.trim())),
    () => 'must name addresses, networks such as 10.0.0.0/8, loopback, linklocal or uniquelocal',
  ),
  CACHE_BYTES: Type.Integer({
    default: 10 * 2 ** 30,
    minimum: 0,
    description:
      'local copies of stored files that a worker keeps; fewer where less than 2 GiB, or a tenth of the disk, is free',
  }),
  LAYER_MEMORY_MB: Type.Integer({
    default: 256,
    minimum: 16,
    description:
      'samples of one layer, and feature maps of one batch (half of it); the solver holds a few times as much',
  }),
  UPLOAD_TTL_DAYS: Type.Number({ default: 30, minimum: 0.001, description: 'an upload is kept this long' }),
  ARTIFACT_TTL_DAYS: Type.Number({ default: 90, minimum: 0.001, description: 'artifacts are kept this long' }),
  JOB_TTL_DAYS: Type.Number({
    default: 365,
    minimum: 0.001,
    description: 'a finished job, its ledger and its events are kept this long, and as long as its artifacts',
  }),
  WEBHOOK_TTL_DAYS: Type.Number({ default: 30, minimum: 0.001, description: 'the log of a webhook is kept this long' }),
  SWEEP: Type.Union([Type.Literal('on'), Type.Literal('off')], {
    default: 'on',
    description: 'off: this process deletes no stored files that the database does not know or need',
  }),
  AUDIT_TTL_DAYS: Type.Number({
    default: 365,
    minimum: 0.001,
    description: 'an entry of the audit log is kept this long',
  }),
  URL_ALLOWED_HOSTS: Type.String({
    default: '',
    description:
      'comma-separated `host` or `host:port` that model and webhook URLs may use although private or plain http',
  }),
  CORS_ORIGINS: Type.String({
    default: '',
    description:
      'comma-separated origins (`https://host`) whose pages may call the API from a browser with a key of theirs, or `*`; empty: none',
  }),
  METRICS_PORT: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 65535,
    description: 'port of `/metrics` and `/healthz` of a process without an API, on HOST; 0: none',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    Type.String({
      pattern: '^https?://',
      description: 'OpenTelemetry collector (OTLP over HTTP) for traces; absent: none',
    }),
  ),
  SHUTDOWN_SECONDS: Type.Number({ default: 20, minimum: 0, description: 'grace for a clean stop' }),
});

export type Config = Readonly<Static<typeof ConfigSchema>>;

/** A setting that is present but wrong. */
export class ConfigError extends Error {}

/**
 * Reads the settings of `environment`, fills defaults and freezes them.
 * @throws {ConfigError} naming every bad variable.
 */
export function readConfig(environment: Record<string, string | undefined>): Config {
  const given: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries(ConfigSchema.properties)) {
    const text = environment[name]?.trim() ?? '';
    if (text === '') continue;
    // Not Value.Convert: it cuts 1.5 down to 1 where an integer is asked for.
    const number = 'type' in schema && /^(number|integer)$/.test(schema.type) ? Number(text) : NaN;
    given[name] = Number.isNaN(number) ? text : number;
  }
  const value = Value.Default(ConfigSchema, given);
  const faults = Value.Errors(ConfigSchema, value).map((e) => `${e.instancePath.slice(1)} ${e.message}`);
  if (!Value.Check(ConfigSchema, value)) throw new ConfigError(`bad settings: ${[...new Set(faults)].join('; ')}`);
  value.DATA_DIR = resolve(value.DATA_DIR);
  return Object.freeze(value);
}

/** name, default and meaning of every setting, for `doctor` and the docs. */
export function describeSettings(): { name: string; fallback: unknown; description: string }[] {
  return Object.entries(ConfigSchema.properties).map(([name, schema]) => {
    const { default: fallback, description } = schema as { default?: unknown; description?: string };
    return { name, fallback: fallback ?? null, description: description ?? '' };
  });
}
