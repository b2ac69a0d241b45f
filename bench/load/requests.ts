import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { JobView } from '../../src/api/jobs/schema.js';
import type { JobFiles } from '../support/files.js';
import { uploadAll } from '../support/files.js';
import { callOnce, load, type Call, type Rate } from '../support/load.js';
import { median, mib } from '../support/numbers.js';
import { peakBytes, residentBytes } from '../support/process-memory.js';
import { KEY, Service } from '../support/service.js';
import { note, printTable } from '../support/table.js';
import { type BenchPostgres, startPostgres } from './postgres.js';

const BARE = fileURLToPath(new URL('../support/bare-server.ts', import.meta.url));
const WARM_SECONDS = 2;
/** Longer than what is shown of the queue may be old. */
const SETTLED_MS = 3_000;
const FILL_AT_A_TIME = 16;
const PAGE = 50;
/** Places of the worker that is registered here and takes nothing, so that the queue is that of a pool that works. */
const SLOTS = 1;
/** With these more than its places are taken, as they are in a pool that has work. */
const FEW = 10;
const authorization = `Bearer ${KEY}`;
export const ANY = String(2 ** 31 - 1);
export const NO_LIMITS = { MAX_QUEUED_JOBS: ANY, REQUESTS_PER_MINUTE: ANY };

export interface RequestOptions {
  files: JobFiles;
  jobs: number;
  concurrency: number[];
  seconds: number;
  rounds: number;
}

interface Case {
  name: string;
  server: { url: string; pid: number };
  expected: number;
  next: () => Call;
}

type Measured = Rate & { databaseMs: number };

async function startBare(answer: JobView): Promise<{ url: string; pid: number; stop(): void }> {
  const child = fork(BARE);
  child.send(answer);
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (text) => resolve(String(text)));
    child.once('exit', () => reject(new Error('the bare server did not start')));
  });
  return { url, pid: child.pid ?? 0, stop: () => child.disconnect() };
}

/**
 * The calls of clients while few jobs wait and while `jobs` do, beside a bare Fastify route that sends the same JSON.
 */
export async function requests(options: RequestOptions): Promise<void> {
  const postgres = await startPostgres();
  try {
    const { service, api } = await Service.start({ ...NO_LIMITS, DATABASE_URL: postgres.url });
    try {
      await withService(options, postgres, service, { url: service.url, pid: api.pid });
    } finally {
      await service.close();
    }
  } finally {
    await postgres.close();
  }
}

export function submission(body: string): (headers?: Record<string, string>) => Call {
  const post = { authorization, 'content-type': 'application/json' };
  return (headers = {}) => ({ method: 'POST', path: '/jobs', headers: { ...post, ...headers }, body });
}

export const get = (path: string, headers: Record<string, string> = {}): Call => ({
  method: 'GET',
  path,
  headers: { authorization, ...headers },
});

/**
 * The poll of a client that has seen the job or the list as it is; what is shown of the queue may be some seconds old.
 */
export async function conditional(url: string, path: string): Promise<() => Call> {
  const look = async () => (await callOnce(url, get(path))).headers.etag ?? '';
  for (let seen = await look(); ;) {
    await sleep(SETTLED_MS);
    const etag = await look();
    if (etag === seen) return () => get(path, { 'if-none-match': etag });
    seen = etag;
  }
}

async function withService(
  { files, jobs, concurrency, seconds, rounds }: RequestOptions,
  postgres: BenchPostgres,
  service: Service,
  server: { url: string; pid: number },
): Promise<void> {
  const idle = residentBytes(server.pid);
  const body = JSON.stringify({ ...(await uploadAll(service.client, files)), target: { parameter_ratio: 4 } });
  const submit = submission(body);
  const make = async () => JSON.parse((await callOnce(server.url, submit())).body) as JobView;
  await postgres.query(
    `insert into workers (id, engine, device, threads, slots, last_seen_at)
     values ('wrk_takes_nothing', 'onnxruntime', 'cpu', 1, $1, now() + interval '1 day')`,
    [SLOTS],
  );
  // The first one checks the files in a process of its own; the outcome is kept for all that follow.
  const ended = await make();
  await service.client.act(ended.id, 'cancel');
  for (let i = 1; i < FEW; i++) await make();
  const polled = await make();
  const bare = await startBare(polled);
  const cases = async (): Promise<Case[]> => [
    { name: 'bare route', server: bare, expected: 200, next: () => ({ method: 'GET', path: '/', headers: {} }) },
    {
      name: 'GET /jobs/{id}, ended, 304',
      server,
      expected: 304,
      next: await conditional(server.url, `/jobs/${ended.id}`),
    },
    {
      name: 'GET /jobs/{id}, queued, 304',
      server,
      expected: 304,
      next: await conditional(server.url, `/jobs/${polled.id}`),
    },
    { name: 'GET /jobs/{id}, queued, 200', server, expected: 200, next: () => get(`/jobs/${polled.id}`) },
    {
      name: `GET /jobs?limit=${PAGE}, 304`,
      server,
      expected: 304,
      next: await conditional(server.url, `/jobs?limit=${PAGE}&status=succeeded,failed,canceled`),
    },
    { name: `GET /jobs?limit=${PAGE}`, server, expected: 200, next: () => get(`/jobs?limit=${PAGE}`) },
    { name: 'POST /jobs', server, expected: 202, next: () => submit() },
    {
      name: 'POST /jobs, Idempotency-Key',
      server,
      expected: 202,
      next: () => submit({ 'idempotency-key': randomUUID() }),
    },
  ];

  /** What was posted while measuring is taken away again, so that every round sees the same queue. */
  async function measure(what: string): Promise<Map<string, Measured[]>> {
    const found = new Map<string, Measured[]>();
    const [{ last } = { last: '0' }] = await postgres.query<{ last: string }>('select max(seq) as last from jobs');
    await postgres.query('vacuum analyze');
    const list = await cases();
    for (const { server, next, expected } of list)
      await load(server, next, { expected, concurrency: 8, seconds: WARM_SECONDS });
    for (let round = 1; round <= rounds; round++) {
      for (const atATime of concurrency) {
        note(`${what}: round ${round} of ${rounds}, ${atATime} at a time`);
        for (const { name, server, next, expected } of list) {
          const before = postgres.cpuSeconds();
          const rate = await load(server, next, { expected, concurrency: atATime, seconds });
          const databaseMs = (1000 * (postgres.cpuSeconds() - before)) / rate.calls;
          const key = `${name} ${atATime}`;
          found.set(key, [...(found.get(key) ?? []), { ...rate, databaseMs }]);
        }
      }
      await postgres.query('delete from jobs where seq > $1', [last]);
      await postgres.query('vacuum analyze');
    }
    return found;
  }

  const empty = await measure(`${FEW} queued`);
  const afterEmpty = peakBytes(server.pid);
  note(`${jobs} jobs through POST /jobs`);
  // The polled job stands in the middle, with as many in front of it as behind.
  const half = { expected: 202, concurrency: FILL_AT_A_TIME, calls: Math.floor(jobs / 2) };
  const before = await load(server, () => submit(), half);
  await postgres.query(`update jobs set seq = nextval('jobs_seq_seq') where id = $1`, [polled.id]);
  const after = await load(server, () => submit(), half);
  const full = await measure(`${jobs} queued`);
  const names = (await cases()).map(({ name }) => name);

  for (const [name, found] of [
    [`${FEW} queued jobs`, empty],
    [`${jobs.toLocaleString('en')} queued jobs`, full],
  ] as const) {
    console.log(`${name}:\n`);
    printTable(HEAD, rows(found, names, concurrency));
  }
  printTable(
    [`filling the queue through POST /jobs, ${FILL_AT_A_TIME} at a time`, 'per second', 'p50 ms', 'p99 ms'],
    [
      [`jobs 1 to ${half.calls}`, before.perSecond.toFixed(0), before.p50Ms.toFixed(1), before.p99Ms.toFixed(1)],
      [`jobs ${half.calls + 1} to ${jobs}`, after.perSecond.toFixed(0), after.p50Ms.toFixed(1), after.p99Ms.toFixed(1)],
    ],
  );
  printTable(
    ['API process', 'MiB'],
    [
      ['resident before the first request', mib(idle)],
      [`peak, ${FEW} queued jobs`, mib(afterEmpty)],
      [`peak, ${jobs.toLocaleString('en')} queued jobs`, mib(peakBytes(server.pid))],
    ],
  );
  bare.stop();
}

const HEAD = [
  'call',
  'at a time',
  'per second',
  'p50 ms',
  'p99 ms',
  'rate / bare route',
  'CPU of the API, ms',
  'CPU / bare route',
  'CPU of PostgreSQL, ms',
];

function rows(found: Map<string, Measured[]>, names: string[], concurrency: number[]) {
  return concurrency.flatMap((atATime) =>
    names.map((name) => {
      const here = found.get(`${name} ${atATime}`) ?? [];
      const base = found.get(`bare route ${atATime}`) ?? [];
      const of = (field: keyof Measured) => median(here.map((rate) => rate[field]));
      const share = median(here.map((rate, i) => rate.perSecond / (base[i]?.perSecond ?? NaN)));
      return [
        name,
        atATime,
        of('perSecond').toFixed(0),
        of('p50Ms').toFixed(2),
        of('p99Ms').toFixed(2),
        share.toFixed(3),
        of('cpuMs').toFixed(3),
        (of('cpuMs') / median(base.map(({ cpuMs }) => cpuMs))).toFixed(1),
        name === 'bare route' ? '' : of('databaseMs').toFixed(3),
      ];
    }),
  );
}
