import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import type { Log } from '../observability/log.js';
import { PostgresClient } from './connection/postgres-client.js';
import type { DatabaseContext, DatabaseSettings } from './connection/context.js';
import { PrismaClient } from './generated/client.js';
import { auditRepository } from './audit/audit-repository.js';
import { idempotencyRepository } from './jobs/idempotency-repository.js';
import { chargeRepository } from './maintenance/charge-repository.js';
import { installationRepository } from './installation/installation-repository.js';
import { jobRepository } from './jobs/job-repository.js';
import { withKnownJobs } from './jobs/known-jobs.js';
import { withKeyCache } from './teams/key-cache.js';
import { keyRepository } from './teams/key-repository.js';
import { artifactRepository, eventRepository, layerRepository } from './ledger/ledger-repositories.js';
import { migrate } from './connection/migrate.js';
import { preparedStatements } from './connection/prepared.js';
import { announcements } from './connection/announcements.js';
import { listen } from './connection/notifications.js';
import { poolRepository } from './tasks/index.js';
import { taskRepository } from './tasks/task-repository.js';
import type { Database } from './repositories.js';
import { predictionRepository } from './predictions/prediction-repository.js';
import { teamRepository } from './teams/team-repository.js';
import { guarded, withQuickTries } from './connection/transient-errors.js';
import { withKnownUploads } from './uploads/known-uploads.js';
import { uploadRepository } from './uploads/upload-repository.js';
import { usageRepository } from './usage/usage-repository.js';
import { webhookRepository } from './webhooks/webhook-repository.js';
import { workerRepository } from './workers/worker-repository.js';

export * from './records.js';
export * from './repositories.js';
export { startEmbedded, type EmbeddedPostgres } from './embedded/supervisor.js';
export type { DatabaseSettings } from './connection/context.js';

export interface DatabaseOptions {
  url: string;
  settings: DatabaseSettings;
  logger: Log;
  /** Connections of this process at most. @defaultValue 10 */
  connections?: number;
  /** For one of many processes: see `listen`. @defaultValue false */
  quiet?: boolean;
}

/**
 * ms. Calls that wait for a lock give up before their connection is taken for lost, and do not pile up in the server.
 */
const LOCK_MS = 10_000;
const TRANSACTION = { maxWait: 5_000, timeout: 20_000 };

/** Migrates, then opens the repositories. */
export async function openDatabase({
  url,
  settings,
  logger,
  connections = 10,
  quiet = false,
}: DatabaseOptions): Promise<Database> {
  const applied = await withQuickTries(() => migrate(url));
  if (applied.length > 0) logger.info({ migrations: applied }, 'database migrated');
  const pool = new pg.Pool({
    connectionString: url,
    max: connections,
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    application_name: 'sparank',
    lock_timeout: LOCK_MS,
    Client: PostgresClient,
  });
  // A connection that breaks while idle: the next query gets another one.
  const onLoss = (error: Error) => logger.debug({ err: error }, 'database connection lost');
  pool.on('error', onLoss);
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool, { onConnectionError: onLoss }) });
  const statements = preparedStatements(pool);
  const context: DatabaseContext = {
    prisma,
    settings,
    ...statements,
    announce: announcements(statements.prepared, logger),
    transaction: (work) => prisma.$transaction(work, TRANSACTION),
  };
  const notifications = listen(url, logger, quiet);
  const known = withKeyCache(
    { keys: guarded(keyRepository(context)), teams: guarded(teamRepository(context)) },
    notifications,
  );
  return {
    url,
    teams: known.teams,
    keys: known.keys,
    usage: guarded(usageRepository(context)),
    audit: guarded(auditRepository(context)),
    uploads: withKnownUploads(guarded(uploadRepository(context)), notifications),
    jobs: withKnownJobs(guarded(jobRepository(context)), notifications),
    idempotency: guarded(idempotencyRepository(context)),
    predictions: guarded(predictionRepository(context)),
    layers: guarded(layerRepository(context)),
    tasks: guarded(taskRepository(context)),
    events: guarded(eventRepository(context)),
    artifacts: guarded(artifactRepository(context)),
    webhooks: guarded(webhookRepository(context)),
    workers: guarded(workerRepository(context)),
    installation: guarded(installationRepository(context)),
    charge: guarded(chargeRepository(context)),
    pool: guarded(poolRepository(context)),
    notifications,
    check: () =>
      withQuickTries(async () => {
        await prisma.$queryRaw`select 1`;
      }),
    async close() {
      await notifications.close();
      await prisma.$disconnect();
      if (!pool.ending) await pool.end();
    },
  };
}
