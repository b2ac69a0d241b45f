/**
 * The API under load, against a bare Fastify route that sends the same JSON. `npx tsx bench/api.ts [--seconds 4]
 * [--rounds 3]`; needs `npm run build`. Client, API and PostgreSQL share the machine.
 */
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { JobView } from '../src/api/jobs/schema.js';
import { addFiles, filesOf, uploadAll } from './support/files.js';
import { callOnce, load, type Call, type Rate } from './support/load.js';
import { median, mib } from './support/numbers.js';
import { peakBytes, residentBytes } from './support/process-memory.js';
import { KEY, Service } from './support/service.js';
import { note, printMachine, printTable } from './support/table.js';

const BARE = fileURLToPath(new URL('./support/bare-server.ts', import.meta.url));
const CONCURRENCY = [1, 8, 32];
const WARM_SECONDS = 2;
const ANY = 2 ** 31 - 1;

interface Case {
  name: string;
  server: { url: string; pid: number };
  expected: number;
  next: () => Call;
}

async function startBare(answer: JobView): Promise<{ url: string; pid: number; stop(): void }> {
  const child = fork(BARE);
  child.send(answer);
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (text) => resolve(String(text)));
    child.once('exit', () => reject(new Error('the bare server did not start')));
  });
  return { url, pid: child.pid ?? 0, stop: () => child.disconnect() };
}

const command = addFiles(new Command('bench/api.ts'))
  .option('--seconds <n>', 'of one measurement', '4')
  .option('--rounds <n>', 'of all measurements, in turn; medians are printed', '3')
  .parse();
const options = command.opts<{ seconds: string; rounds: string }>();
const files = filesOf(command);

printMachine();
const { service, api } = await Service.start({ MAX_QUEUED_JOBS: String(ANY), REQUESTS_PER_MINUTE: String(ANY) });
const server = { url: service.url, pid: api.pid };
const authorization = `Bearer ${KEY}`;
const post = { authorization, 'content-type': 'application/json' };
try {
  const idle = residentBytes(api.pid);
  const body = JSON.stringify({ ...(await uploadAll(service.client, files)), target: { parameter_ratio: 4 } });
  const submit = (headers: Record<string, string> = {}): Call => {
    return { method: 'POST', path: '/jobs', headers: { ...post, ...headers }, body };
  };
  const read = async (id: string): Promise<() => Call> => {
    const path = `/jobs/${id}`;
    const { headers } = await callOnce(service.url, { method: 'GET', path, headers: { authorization } });
    const conditional = { authorization, 'if-none-match': headers.etag ?? '' };
    return () => ({ method: 'GET', path, headers: conditional });
  };
  // The first one checks the files in a process of its own; the outcome is kept for all that follow.
  const first = JSON.parse((await callOnce(service.url, submit())).body) as JobView;
  const other = JSON.parse((await callOnce(service.url, submit())).body) as JobView;
  const ended = await service.client.act(other.id, 'cancel');
  const bare = await startBare(first);
  const cases: Case[] = [
    { name: 'bare route', server: bare, expected: 200, next: () => ({ method: 'GET', path: '/', headers: {} }) },
    { name: 'GET /jobs/{id}, ended, 304', server, expected: 304, next: await read(ended.id) },
    { name: 'GET /jobs/{id}, queued, 304', server, expected: 304, next: await read(first.id) },
    { name: 'POST /jobs', server, expected: 202, next: () => submit() },
    {
      name: 'POST /jobs, Idempotency-Key',
      server,
      expected: 202,
      next: () => submit({ 'idempotency-key': randomUUID() }),
    },
  ];
  const key = (name: string, concurrency: number) => `${name} ${concurrency}`;
  const rates = new Map<string, Rate[]>();
  for (const { server, next, expected } of cases)
    await load(server, next, { expected, concurrency: 8, seconds: WARM_SECONDS });
  for (let round = 1; round <= Number(options.rounds); round++) {
    for (const concurrency of CONCURRENCY) {
      note(`round ${round} of ${options.rounds}, ${concurrency} at a time`);
      for (const { name, server, next, expected } of cases) {
        const rate = await load(server, next, { expected, concurrency, seconds: Number(options.seconds) });
        rates.set(key(name, concurrency), [...(rates.get(key(name, concurrency)) ?? []), rate]);
      }
    }
  }
  const rows = CONCURRENCY.flatMap((concurrency) =>
    cases.map(({ name }) => {
      const here = rates.get(key(name, concurrency)) ?? [];
      const base = rates.get(key('bare route', concurrency)) ?? [];
      const bareCpu = median(base.map(({ cpuMs }) => cpuMs));
      const share = median(here.map((rate, i) => rate.perSecond / (base[i]?.perSecond ?? NaN)));
      const of = (field: keyof Rate) => median(here.map((rate) => rate[field]));
      return [
        name,
        concurrency,
        of('perSecond').toFixed(0),
        of('p50Ms').toFixed(2),
        of('p99Ms').toFixed(2),
        share.toFixed(3),
        of('cpuMs').toFixed(3),
        (of('cpuMs') / bareCpu).toFixed(1),
      ];
    }),
  );
  printTable(
    [
      'call',
      'at a time',
      'per second',
      'p50 ms',
      'p99 ms',
      'rate / bare route',
      'CPU of the server, ms',
      'CPU / bare route',
    ],
    rows,
  );
  const queued = (await service.client.job(first.id))?.job;
  if (queued?.status !== 'queued') throw new Error('the job did not stay queued');
  printTable(
    ['API process', 'MiB'],
    [
      ['resident before the first request', mib(idle)],
      ['peak', mib(peakBytes(api.pid))],
    ],
  );
  bare.stop();
} finally {
  await service.close();
}
