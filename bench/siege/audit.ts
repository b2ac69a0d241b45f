import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import pino from 'pino';
import { readConfig } from '../../src/config/index.js';
import { openDatabase } from '../../src/database/index.js';
import { sweep as sweepFiles } from '../../src/maintenance/sweep.js';
import { openScratch } from '../../src/storage/scratch.js';
import { LocalStorage } from '../../src/storage/local-storage.js';
import { age } from './age.js';
import type { Deployment } from './deployment.js';
import { livingProcesses } from './processes.js';
import { downloadedHash, untilEnded } from './submit.js';

interface AuditedJob {
  id: string;
  key?: string;
  canceled: boolean;
}

interface JobAudit {
  faults: string[];
  status: string;
  model: string | null;
  attempts: number;
}

/** What a job must be when it has ended, whatever happened on the way. Returns what is wrong with it. */
export async function auditJob(deployment: Deployment, job: AuditedJob, seconds: number): Promise<JobAudit> {
  for (;;) {
    const { restores } = deployment;
    const audit = await lookAtJob(deployment, job, seconds).catch((error: unknown) => {
      if (restores === deployment.restores) throw error;
      return null;
    });
    // It was accepted after the dump that was restored meanwhile.
    if (deployment.forgotten.has(job.id)) return { faults: [], status: 'forgotten', model: null, attempts: 0 };
    // What is seen while a dump is restored is of two times.
    if (audit !== null && restores === deployment.restores) return audit;
  }
}

async function lookAtJob(
  deployment: Deployment,
  { id, key, canceled }: AuditedJob,
  seconds: number,
): Promise<JobAudit> {
  const faults: string[] = [];
  const job = await untilEnded(deployment, id, seconds);
  const expect = (holds: boolean, what: string) => holds || faults.push(`${id}: ${what}`);
  expect(
    job.status === 'succeeded' || (canceled && job.status === 'canceled'),
    `ended as ${job.status}: ${JSON.stringify(job.error)}`,
  );

  const ends = await deployment.query<{ type: string }>(
    "select type from events where job_id = $1 and type in ('job.succeeded', 'job.failed', 'job.canceled')",
    [id],
  );
  expect(ends.length === 1 && ends[0]?.type === `job.${job.status}`, `ends: ${JSON.stringify(ends)}`);
  const tasks = await deployment.query<{ id: string; kind: string; state: string; attempt: number }>(
    'select id, kind, state, attempt from tasks where job_id = $1',
    [id],
  );
  expect(
    tasks.every(({ state }) => ['succeeded', 'canceled', 'failed'].includes(state)),
    'a task is still open',
  );
  if (key !== undefined) {
    const held = await deployment.query<{ n: number }>(
      'select count(distinct job_id)::int as n from idempotency_keys where job_id = $1',
      [id],
    );
    expect(held[0]?.n === 1, 'its idempotency key is lost');
  }
  let model: string | null = null;
  if (job.status === 'succeeded') {
    expect(
      tasks.every(({ state }) => state === 'succeeded'),
      'a task did not succeed',
    );
    const layers = tasks.filter(({ kind }) => kind === 'layer').length;
    // A layer whose file was lost is solved again.
    const events = await deployment.query(
      "select distinct data->>'layer' as layer from events where job_id = $1 and type = 'layer.finished'",
      [id],
    );
    expect(events.length === layers, `${String(events.length)} of ${String(layers)} layers told that they finished`);
    const attempt = tasks.find(({ kind }) => kind === 'evaluate')?.attempt;
    const stored = await deployment.query<{ name: string; storage_key: string; sha256: string }>(
      'select name, storage_key, sha256 from artifacts where job_id = $1',
      [id],
    );
    expect(stored.length >= 3 && stored.length === job.artifacts.length, 'artifacts are missing');
    for (const { name, storage_key, sha256 } of stored) {
      expect(storage_key.startsWith(`jobs/${id}/artifacts/${String(attempt)}/`), `${name} is of another attempt`);
      const url = job.artifacts.find((artifact) => artifact.name === name)?.url ?? '';
      expect((await downloadedHash(deployment, url)) === sha256, `${name} has other bytes than recorded`);
      if (name === 'model.onnx') model = sha256;
    }
  }
  const attempts = tasks.reduce((sum, task) => sum + task.attempt - 1, 0);
  return { faults, status: job.status, model, attempts };
}

const names = async (path: string) => (existsSync(path) ? readdir(path) : []);

/** What is left when every process has been told to stop. */
export async function auditRest(
  deployment: Deployment,
): Promise<{ faults: string[]; swept: number; canceled: number; partial: number; stale: number }> {
  const faults: string[] = [];
  await deployment.stopParts();
  const left = livingProcesses(deployment.dataDir);
  if (left.length > 0) faults.push(`processes are left: ${JSON.stringify(left)}`);
  const root = join(deployment.disk.path, 'storage');
  const storage = await LocalStorage.open(root);
  const logger = pino({ level: 'silent' });
  const database = await openDatabase({ url: deployment.databaseUrl, settings: readConfig({}), logger });
  const quiet = { removed: () => undefined, removalFailed: () => undefined, sweepStopped: () => undefined };
  // After a restored dump much is unknown: its time to wait is over, and the operator has looked at it.
  await age(join(root, 'jobs'));
  const sweep = async () => (await sweepFiles({ database, storage, logger, metrics: quiet }, 'jobs', 'told')).removed;
  const swept = await sweep();
  // A canceled job keeps what its steps have made, for a retry, until its time is over.
  await deployment.query("update jobs set finished_at = finished_at - interval '1 year' where status = 'canceled'");
  const canceled = await sweep();
  const kept = new Set<string>();
  for await (const { key } of storage.list('jobs/')) kept.add(key);
  await database.close();
  const rows = await deployment.query<{ storage_key: string }>('select storage_key from artifacts');
  const recorded = new Set(rows.map(({ storage_key }) => storage_key));
  const stray = [...kept].filter((key) => !recorded.has(key));
  if (stray.length > 0) faults.push(`files that no one needs stay: ${stray.slice(0, 5).join(', ')}`);
  const gone = [...recorded].filter((key) => !kept.has(key));
  if (gone.length > 0) faults.push(`artifacts without their file: ${gone.slice(0, 5).join(', ')}`);
  // Of killed processes; the next process to start removes them.
  const scratch = await openScratch(deployment.dataDir);
  await scratch.remove();
  const rest = await names(join(deployment.dataDir, 'scratch'));
  if (rest.length > 0) faults.push(`scratch files stay: ${rest.join(', ')}`);
  return {
    faults,
    swept,
    canceled,
    partial: (await names(join(root, '.incoming'))).length,
    stale: scratch.stale.length,
  };
}
