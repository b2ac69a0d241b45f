import { mkdir } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { destination } from 'pino';
import { openBackends, type Backends } from '../../service/backends.js';
import { readConfig, type Config } from '../../config/index.js';
import { errorText } from '../../observability/error-text.js';
import { createEngine } from '../../engines/index.js';
import { ownership } from '../../maintenance/storage-owner.js';
import { createLogger } from '../../observability/logger.js';
import { findDevice } from '../../worker/index.js';
import { EXIT } from '../exit-codes.js';
import { print, printJson } from '../display/output.js';

interface Finding {
  name: string;
  ok: boolean;
  detail: string;
  /** It works, but not as it should. */
  warnings?: string[];
}

async function examine(
  name: string,
  look: () => Promise<string>,
  advise: () => Promise<string[]> = async () => [],
): Promise<Finding> {
  try {
    const [detail, warnings] = [await look(), await advise()];
    return { name, ok: true, detail, ...(warnings.length === 0 ? {} : { warnings }) };
  } catch (error) {
    return { name, ok: false, detail: errorText(error) };
  }
}

/** The id goes too; a password may hold an `@` or a `/` that should have been encoded, or stand in the query. */
export const withoutPassword = (url: string) =>
  url.replace(/^(\w+:\/\/)(?!\/)[^?]*@/, '$1').replace(/([?&]password=)[^&]*/gi, '$1***');

async function examineBackends(config: Config): Promise<Finding[]> {
  const logger = createLogger({ LOG_LEVEL: 'fatal' }, {}, destination({ fd: 2, sync: true }));
  let backends: Backends;
  try {
    backends = await openBackends(config, logger);
  } catch (error) {
    return [{ name: 'backends', ok: false, detail: errorText(error) }];
  }
  const { database, queue, storage } = backends;
  try {
    return [
      await examine('database', async () => {
        await database.check();
        return config.DATABASE_URL === undefined
          ? `embedded PostgreSQL in ${config.DATA_DIR}`
          : withoutPassword(config.DATABASE_URL);
      }),
      await examine(
        'queue',
        async () => {
          await queue.check();
          return config.REDIS_URL === undefined ? 'in PostgreSQL' : withoutPassword(config.REDIS_URL);
        },
        () => queue.advice(),
      ),
      await examine('workers', async () => {
        const { classes, tasks } = await database.pool.overview();
        const found = classes.map(
          ({ engine, class: label, deviceMemoryBytes, workers }) =>
            `${workers} x ${[engine, label, deviceMemoryBytes === 0 ? null : `${deviceMemoryBytes} bytes`].filter((one) => one !== null).join(' ')}`,
        );
        const unmatched = tasks.unmatched === 0 ? '' : `; ${tasks.unmatched} tasks that none of them can run`;
        return (found.length === 0 ? 'none is alive' : found.join(', ')) + unmatched;
      }),
      await examine('owner', async () => {
        const { whose, fault } = await ownership(backends);
        if (fault !== null) throw new Error(fault);
        return whose === 'own'
          ? 'the storage is that of this database'
          : 'the storage is nobody’s: the first start claims it';
      }),
      await examine('sweep', async () => {
        const holds = Object.entries(await database.installation.sweepHolds());
        if (holds.length === 0) return config.SWEEP === 'off' ? 'off in this process' : 'on';
        const told = holds.map(([what, { files, of, since }]) => `${files} of ${of} files of ${what} since ${since}`);
        throw new Error(
          `stopped, because the database does not know ${told.join(' and ')}; \`sparank storage check\` lists them, ` +
            '`sparank storage sweep --delete` deletes them',
        );
      }),
      await examine('storage', async () => {
        await storage.check();
        return config.STORAGE_URL === undefined
          ? `local disk in ${config.DATA_DIR}`
          : withoutPassword(config.STORAGE_URL);
      }),
    ];
  } finally {
    await backends.close();
  }
}

/** What a service started with these settings would find. Exit code 1 when something is missing. */
export async function doctor({ json }: { json: boolean }): Promise<void> {
  const config = readConfig(process.env);
  await mkdir(config.DATA_DIR, { recursive: true }).catch(() => undefined);
  const findings = [
    await examine('node', async () => `${process.version}, ${process.platform} ${process.arch}`),
    await examine('machine', async () => {
      const memory = (totalmem() / 2 ** 30).toFixed(1);
      return `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores, ${memory} GiB`;
    }),
    await examine('engine', async () => {
      const engine = await createEngine(config.ENGINE, { threads: config.THREADS });
      const { name } = engine;
      await engine.dispose();
      return config.ENGINE === 'auto' ? `${name} (chosen automatically)` : name;
    }),
    await examine('worker', async () => {
      const { engine, name, class: label, deviceMemoryBytes } = await findDevice(config, config.WORKERS);
      const memory = deviceMemoryBytes === 0 ? 'no device memory' : `${deviceMemoryBytes} bytes of device memory`;
      return `engine ${engine}, ${label === null ? 'no class' : `class ${label}`}, ${memory} (${name})`;
    }),
    ...(await examineBackends(config)),
  ];
  if (json) printJson({ ok: findings.every(({ ok }) => ok), findings });
  else {
    for (const { name, ok, detail, warnings = [] } of findings) {
      print(`${ok ? 'ok  ' : 'BAD '} ${name.padEnd(9)} ${detail}`);
      for (const warning of warnings) print(`WARN ${name.padEnd(9)} ${warning}`);
    }
  }
  if (findings.some(({ ok }) => !ok)) process.exitCode = EXIT.error;
}
