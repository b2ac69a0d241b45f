/**
 * A job over HTTP on the service as a team runs it: an API process, two worker processes, a PostgreSQL and a Redis of
 * their own. What it reports is then checked by `verify.py`, which shares no code with the service.
 *
 *     npx tsx test/independent/service.ts <python> <model> <calibration> <evaluation> [target=parameter_ratio=4] [--embedded]
 */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { follow, silent } from '../../src/cli/display/follow.js';
import { Stack } from '../service/stack.js';
import { startPostgres } from '../support/postgres.js';
import { startRedis } from '../support/redis.js';

const embedded = process.argv.includes('--embedded');
const [python, model, calibration, evaluation, target = 'parameter_ratio=4'] = process.argv
  .slice(2)
  .filter((argument) => argument !== '--embedded');
if (python === undefined || model === undefined || calibration === undefined || evaluation === undefined) {
  throw new Error('usage: service.ts <python> <model> <calibration> <evaluation> [target]');
}

const directory = await mkdtemp(join(tmpdir(), 'sparank-independent-'));
const postgres = embedded ? null : await startPostgres();
const redis = embedded ? null : await startRedis();
const settings: Record<string, string> = { LEASE_SECONDS: '15' };
if (postgres !== null) settings['DATABASE_URL'] = await postgres.createDatabase({ migrated: false });
if (redis !== null) settings['REDIS_URL'] = redis.url;
const stack = await Stack.start(settings);
try {
  const upload = async (path: string) => ({ upload: await stack.client.upload(path) });
  const [name = '', value] = target.split('=');
  const submitted = await stack.client.submit({
    model: await upload(model),
    calibration: await upload(calibration),
    evaluation: await upload(evaluation),
    target: { [name]: Number(value) },
  });
  const job = await follow(stack.sparank, submitted.id, silent);
  if (job.status !== 'succeeded') throw new Error(`the job ${job.status}: ${job.error?.detail ?? ''}\n${stack.log}`);
  for (const artifact of job.artifacts) await stack.client.download(artifact, join(directory, artifact.name));

  const layers = await stack.client.layers(job.id);
  const byWorker = new Map<string, number>();
  for (const { worker_id: worker } of layers)
    if (worker !== null) byWorker.set(worker, (byWorker.get(worker) ?? 0) + 1);
  console.log(`layers by worker: ${[...byWorker].map(([worker, count]) => `${worker} ${String(count)}`).join(', ')}`);
  console.log(JSON.stringify({ metrics: job.metrics, verdict: job.verdict }, null, 2));

  const compressed = join(directory, job.artifacts.find(({ name: n }) => n.startsWith('model.'))?.name ?? 'model.onnx');
  const verify = fileURLToPath(new URL('./verify.py', import.meta.url));
  const files = ['--original', model, '--compressed', compressed, '--report', join(directory, 'report.json')];
  const { status } = spawnSync(python, [verify, ...files, '--evaluation', evaluation], { stdio: 'inherit' });
  process.exitCode = status === 0 && byWorker.size === 2 ? 0 : 1;
} finally {
  await stack.stop();
  await stack.remove();
  await redis?.stop();
  await postgres?.stop();
  await rm(directory, { recursive: true, force: true });
}
