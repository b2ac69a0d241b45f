import { setTimeout as sleep } from 'node:timers/promises';
import type { JobView } from '../../src/api/jobs/schema.js';
import { type JobFiles, uploadAll } from '../support/files.js';
import { callOnce, load } from '../support/load.js';
import { mib, quantile } from '../support/numbers.js';
import { peakBytes } from '../support/process-memory.js';
import { cpuSeconds } from '../support/process-time.js';
import { Service } from '../support/service.js';
import { note, printTable } from '../support/table.js';
import { type EventStream, followEvents } from './event-stream.js';
import { fillQueue } from './fill.js';
import { type BenchPostgres, startPostgres } from './postgres.js';
import { ANY, get, NO_LIMITS, submission } from './requests.js';

/** As the dashboard's list asks. */
const LIST = '/jobs?fields=short&limit=200&total=true';
const CHANGES_PER_SECOND = 20;
/** Streams tell a change within a fifth of a second, or at the next look. */
const PATIENCE_MS = 30_000;

export interface ViewerOptions {
  files: JobFiles;
  jobs: number;
  clients: number;
  seconds: number;
}

/** People who have the list of a team's jobs open, while jobs change: what it costs, and how late they see it. */
export async function viewers(options: ViewerOptions): Promise<void> {
  const postgres = await startPostgres();
  try {
    const settings = { ...NO_LIMITS, STREAMS_PER_KEY: ANY, DATABASE_URL: postgres.url };
    const { service, api } = await Service.start(settings);
    try {
      await withService(options, { postgres, service, pid: api.pid });
    } finally {
      await service.close();
    }
  } finally {
    await postgres.close();
  }
}

interface Parts {
  postgres: BenchPostgres;
  service: Service;
  pid: number;
}

async function withService(options: ViewerOptions, { postgres, service, pid }: Parts): Promise<void> {
  const { files, jobs, clients, seconds } = options;
  const { url } = service;
  const sources = await uploadAll(service.client, files);
  const submit = submission(JSON.stringify({ ...sources, target: { parameter_ratio: 4 } }));
  const like = (JSON.parse((await callOnce(url, submit())).body) as JobView).id;
  note(`${jobs} jobs`);
  await fillQueue(postgres, like, jobs);

  const server = { url, pid };
  const read = { expected: 200, concurrency: 8, seconds };
  await load(server, () => get(LIST), read);
  const list = await load(server, () => get(LIST), read);

  const changed = await postgres.query<{ id: string }>('select id from jobs order by seq desc limit 200');
  const times: number[] = [];
  let ended: Error | null = null;
  const open: EventStream[] = [];
  note(`${clients} viewers`);
  for (let i = 0; i < clients; i++)
    open.push(
      followEvents(
        url,
        '/jobs/events',
        ({ afterMs }) => times.push(afterMs),
        (error) => (ended = error ?? new Error('a stream ended')),
      ),
    );
  // Until all of them are told of one job, they are not all there.
  const touch = (id: string) => postgres.query('update jobs set layers_done = layers_done + 1 where id = $1', [id]);
  const begun = performance.now();
  while (times.length < clients) {
    if (performance.now() - begun > PATIENCE_MS) throw new Error(`${times.length} of ${clients} viewers were told`);
    await touch(like);
    await sleep(500);
  }
  await sleep(1_000);

  async function phase(what: string, perSecond: number): Promise<(string | number)[]> {
    note(what);
    times.length = 0;
    const [cpu, databaseCpu, from] = [cpuSeconds(pid), postgres.cpuSeconds(), performance.now()];
    for (let i = 0; i < seconds * perSecond; i++) {
      await sleep(Math.max(0, from + (i * 1000) / perSecond - performance.now()));
      await touch(changed[i % changed.length]?.id ?? like);
    }
    await sleep(Math.max(500, from + seconds * 1000 - performance.now()));
    if (ended !== null) throw ended;
    const took = (performance.now() - from) / 1000;
    const share = perSecond === 0 ? '' : (times.length / (seconds * perSecond * clients)).toFixed(3);
    return [
      what,
      ((cpuSeconds(pid) - cpu) / took).toFixed(2),
      ((postgres.cpuSeconds() - databaseCpu) / took).toFixed(2),
      share,
      ...(times.length === 0 ? ['', '', ''] : [quantile(times, 0.5), quantile(times, 0.99), Math.max(...times)]),
    ];
  }
  const rows = [
    await phase(`${clients} viewers, nothing happens`, 0),
    await phase(`${clients} viewers, ${CHANGES_PER_SECOND} changes a second`, CHANGES_PER_SECOND),
  ];
  for (const stream of open) stream.close();
  printTable(
    [
      `${jobs.toLocaleString('en')} jobs of the team`,
      'CPU of the API, cores',
      'CPU of PostgreSQL, cores',
      'changes told / made',
      'change at the viewer, p50 ms',
      'p99 ms',
      'most ms',
    ],
    rows,
  );
  printTable(
    ['', ''],
    [
      ['the list of 200 rows with its count, a second', list.perSecond.toFixed(0)],
      ['the same, p99 ms', list.p99Ms.toFixed(1)],
      ['peak of the API, MiB', mib(peakBytes(pid))],
    ],
  );
}
