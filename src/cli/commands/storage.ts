import { destination } from 'pino';
import { readConfig } from '../../config/index.js';
import { checkStorage } from '../../maintenance/storage-check.js';
import { adoptStorage, claimStorage, ownership } from '../../maintenance/storage-owner.js';
import { sweep, type SweepReport } from '../../maintenance/sweep.js';
import { createLogger } from '../../observability/logger.js';
import { createMetrics } from '../../observability/metrics.js';
import { openBackends, type Backends } from '../../service/backends.js';
import { print, printJson } from '../display/output.js';
import { EXIT } from '../exit-codes.js';

const openLogger = () => createLogger({ LOG_LEVEL: 'warn' }, {}, destination({ fd: 2, sync: true }));

async function withBackends<T>(work: (backends: Backends) => Promise<T>): Promise<T> {
  const backends = await openBackends(readConfig(process.env), openLogger());
  try {
    return await work(backends);
  } finally {
    await backends.close();
  }
}

/** The storage of the settings belongs to the database of the settings from now on. */
export async function adopt({ json }: { json: boolean }): Promise<void> {
  await withBackends(async (backends) => {
    const before = await adoptStorage(backends);
    const { id } = await backends.database.installation.make();
    if (json) {
      printJson({ installation: id, before });
      return;
    }
    print(`the storage belongs to this database (${id}) now`);
    if (before !== null && before.installation !== id)
      print(`it belonged to ${before.installation}, whose processes will not start on it any more: stop them`);
  });
}

/** What is missing and what is unknown. Exit code 1 when something is missing, 3 when files are unknown only. */
export async function check({ json }: { json: boolean }): Promise<void> {
  await withBackends(async (backends) => {
    const { whose, fault } = await ownership(backends);
    const { needed, stored, missing, unknown } = await checkStorage(backends);
    if (missing.length > 0) process.exitCode = EXIT.error;
    else if (unknown.length > 0) process.exitCode = EXIT.verdict;
    if (json) {
      printJson({ owner: whose, fault, needed, stored, missing, unknown });
      return;
    }
    for (const { key, of, found, bytes } of missing)
      print(`missing  ${key}  ${of}${found === null ? '' : ` (${found} bytes instead of ${bytes})`}`);
    for (const { key, bytes, modifiedAt } of unknown)
      print(`unknown  ${key}  ${bytes} bytes of ${modifiedAt.toISOString()}`);
    print(
      `${needed} files are needed, ${missing.length} of them missing; ${stored} are stored, ${unknown.length} of them unknown`,
    );
    if (fault !== null) print(fault);
  });
}

/** What the sweep would delete; with `delete` it does, also where it stopped because of the number. */
export async function sweepStorage({ json, delete: remove }: { json: boolean; delete: boolean }): Promise<void> {
  await withBackends(async (backends) => {
    if (remove) await claimStorage(backends);
    const deps = { ...backends, logger: openLogger(), metrics: createMetrics() };
    const reports: Record<string, SweepReport> = {};
    for (const what of ['jobs', 'uploads'] as const) reports[what] = await sweep(deps, what, remove ? 'told' : 'look');
    if (json) {
      printJson(reports);
      return;
    }
    for (const [what, { seen, unneeded, unknown, removed, stopped }] of Object.entries(reports)) {
      const done = remove
        ? `${removed} deleted`
        : stopped
          ? 'the service does not delete them by itself'
          : 'nothing deleted';
      print(
        `${what}: ${seen} files, ${unneeded} that nobody needs, ${unknown} of those unknown to the database; ${done}`,
      );
    }
  });
}
