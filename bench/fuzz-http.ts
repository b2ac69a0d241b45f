/**
 * Broken forms, headers, times, bodies and request lines against one service with its embedded PostgreSQL: every answer
 * is below 500, and a refusal says where the fault is. `npm run build`, then `npx tsx bench/fuzz-http.ts [--requests
 * 100000] [--seed 1] [--from 0]`; a request depends on the seed and its number only. Ends with 1 when one was answered
 * in another way, or not at all.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { writeNpz } from '../src/datasets/index.js';
import { readCalls } from './fuzz-http/calls.js';
import { fuzzHttp, type Finding } from './fuzz-http/run.js';
import { KINDS } from './fuzz-http/request.js';
import { KEY, Service } from './support/service.js';
import { writeSynthetic } from './support/synthetic.js';
import { note, printMachine, printTable } from './support/table.js';

const NOTE_EVERY = 10_000;
const FINDINGS_SHOWN = 20;
/** Few: every form carries them. */
const SAMPLES = 16;
const SAMPLE_LENGTH = 3 * 8 * 8;
const NO_LIMIT = String(2 ** 31 - 1);

const { requests, seed, from } = new Command('bench/fuzz-http.ts')
  .option('--requests <n>', 'how many', '100000')
  .option('--seed <n>', 'of the requests', '1')
  .option('--from <n>', 'number of the first request', '0')
  .parse()
  .opts<Record<'requests' | 'seed' | 'from', string>>();

const told = ({ number, kind, how, what }: Finding) => `- ${String(number)} (${kind}: ${how}): ${what}`;

printMachine();
const folder = await mkdtemp(join(tmpdir(), 'sparank-fuzz-http-'));
const { service } = await Service.start({
  LOG_LEVEL: 'error',
  REQUESTS_PER_MINUTE: NO_LIMIT,
  INVALID_KEYS_PER_MINUTE: NO_LIMIT,
  MAX_QUEUED_JOBS: NO_LIMIT,
});
try {
  const files = await writeSynthetic(folder, 1, 4);
  const data = Float32Array.from({ length: SAMPLES * SAMPLE_LENGTH }, (_, i) => Math.sin(i));
  await writeNpz(files.calibration, { x: { dims: [SAMPLES, 3, 8, 8], data } });
  const content = { model: await readFile(files.model), calibration: await readFile(files.calibration) };
  const upload = async (bytes: Buffer) => {
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/octet-stream' };
    const answer = await fetch(`${service.url}/uploads?filename=model.onnx`, {
      method: 'POST',
      headers,
      body: Uint8Array.from(bytes),
    });
    return ((await answer.json()) as { id: string }).id;
  };
  const model = await upload(content.model);
  const worker = service.startWorker({ THREADS: '1' });
  const job = await service.run({
    model: { upload: model },
    calibration: { upload: await upload(content.calibration) },
    target: { parameter_ratio: 1.5 },
  });
  await worker.stop();

  const known = { key: KEY, job: job.id, artifact: 'model.onnx', upload: model };
  const started = performance.now();
  const { counts, findings, slowestMs } = await fuzzHttp({
    port: Number(new URL(service.url).port),
    known: { ...known, calls: await readCalls(service.url, known) },
    content,
    seed: Number(seed),
    from: Number(from),
    to: Number(from) + Number(requests),
    onFinding: (finding) => note(told(finding)),
    onProgress: (done, found) => {
      if (done % NOTE_EVERY === 0) note(`${String(done)}: ${String(found)} findings`);
    },
  });
  const seconds = (performance.now() - started) / 1000;
  // What all of them left behind.
  const ready = await fetch(`${service.url}/readyz`);
  const log = (await readFile(join(service.dataDir, 'log'), 'utf8')).trim();
  const again = await service.client.job(job.id);
  const after = [
    ...(ready.status === 200 ? [] : [`/readyz says ${String(ready.status)}`]),
    ...(again === null ? ['the job is gone'] : []),
    ...(log === '' ? [] : [`the log has errors: ${log.slice(0, 1000)}`]),
  ];

  const groups = ['2xx', '3xx', '4xx', '5xx', 'no answer'];
  printTable(
    ['requests', ...groups],
    KINDS.map((kind) => [kind, ...groups.map((name) => counts.get(kind)?.get(name) ?? 0)]),
  );
  printTable(
    ['requests', 'seconds', 'slowest, ms', 'findings'],
    [[requests, seconds.toFixed(0), slowestMs.toFixed(0), findings.length + after.length]],
  );
  for (const finding of findings.slice(0, FINDINGS_SHOWN)) console.log(told(finding));
  for (const text of after) console.log(`- afterwards: ${text}`);
  if (findings.length + after.length > 0) process.exitCode = 1;
} finally {
  await service.close();
  await rm(folder, { recursive: true, force: true });
}
