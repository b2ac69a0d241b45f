import { setTimeout as sleep } from 'node:timers/promises';
import type { JobView } from '../../src/api/jobs/schema.js';
import { type JobFiles, uploadAll } from '../support/files.js';
import { callOnce, load } from '../support/load.js';
import { mib, quantile } from '../support/numbers.js';
import { peakBytes, residentBytes } from '../support/process-memory.js';
import { cpuSeconds } from '../support/process-time.js';
import { Service } from '../support/service.js';
import { note, printTable } from '../support/table.js';
import { type EventStream, followEvents } from './event-stream.js';
import { type BenchPostgres, startPostgres } from './postgres.js';
import { conditional, NO_LIMITS, submission } from './requests.js';

const SECONDS = 10;
/** Events per second over all jobs, while every client follows a job of its own. */
const EVENTS_PER_SECOND = 50;
/** Events of the one job that all clients follow, one after the other. */
const SHARED_EVENTS = 20;
const TYPE = 'layer.finished';

interface Phase {
  what: string;
  cpu: number;
  databaseCpu: number;
  resident: number;
  gets: { perSecond: number; p99Ms: number } | null;
  times: number[];
}

/** Clients that follow jobs live: what they cost while nothing happens, and how long an event takes to all of them. */
export async function streams({ files, clients }: { files: JobFiles; clients: number }): Promise<void> {
  const postgres = await startPostgres();
  try {
    const { service, api } = await Service.start({ ...NO_LIMITS, DATABASE_URL: postgres.url });
    try {
      await withService(postgres, service, api.pid, files, clients);
    } finally {
      await service.close();
    }
  } finally {
    await postgres.close();
  }
}

/** An event of a job, by the statements that a task's end makes: the trigger of the second one tells the API. */
const happen = (postgres: BenchPostgres, id: string) =>
  postgres.query(
    `with event as (
       insert into events (team_id, job_id, type, data) select team_id, id, $2, '{"layer": 0}' from jobs where id = $1
     ) update jobs set layers_done = layers_done + 1 where id = $1`,
    [id, TYPE],
  );

async function withService(
  postgres: BenchPostgres,
  service: Service,
  pid: number,
  files: JobFiles,
  clients: number,
): Promise<void> {
  const { url } = service;
  const submit = submission(
    JSON.stringify({ ...(await uploadAll(service.client, files)), target: { parameter_ratio: 4 } }),
  );
  const make = async () => (JSON.parse((await callOnce(url, submit())).body) as JobView).id;
  const polled = await make();
  await service.client.act(polled, 'cancel');
  const jobs: string[] = [];
  for (let i = 0; i < clients; i++) jobs.push(await make());
  const poll = await conditional(url, `/jobs/${polled}`);
  const server = { url, pid };
  const polls = async () => load(server, poll, { expected: 304, concurrency: 8, seconds: SECONDS });
  await polls();

  let times: number[] = [];
  let ended: Error | null = null;
  const open: EventStream[] = [];
  let seen = 0;
  const follow = (id: string) =>
    open.push(
      followEvents(
        url,
        `/jobs/${id}/events`,
        ({ type, afterMs }) => {
          seen++;
          if (type === TYPE) times.push(afterMs);
        },
        (error) => (ended = error ?? new Error('a stream ended')),
      ),
    );
  /** Every stream has sent so many events. */
  const until = async (events: number) => {
    for (const deadline = Date.now() + 60_000; seen < events; await sleep(2)) {
      if (ended !== null) throw ended;
      if (Date.now() > deadline) throw new Error(`${seen} of ${events} events came`);
    }
  };

  async function phase(what: string, withPolls: boolean, work: () => Promise<void>): Promise<Phase> {
    note(what);
    times = [];
    const [cpu, databaseCpu, begun] = [cpuSeconds(pid), postgres.cpuSeconds(), performance.now()];
    const [gets] = await Promise.all([withPolls ? polls() : null, work()]);
    const seconds = (performance.now() - begun) / 1000;
    return {
      what,
      cpu: (cpuSeconds(pid) - cpu) / seconds,
      databaseCpu: (postgres.cpuSeconds() - databaseCpu) / seconds,
      resident: residentBytes(pid),
      gets,
      times,
    };
  }

  const idle = () => sleep(SECONDS * 1000);
  const spread = async () => {
    const expected = seen + SECONDS * EVENTS_PER_SECOND;
    const begun = performance.now();
    for (let i = 0; i < SECONDS * EVENTS_PER_SECOND; i++) {
      await sleep(Math.max(0, begun + (i * 1000) / EVENTS_PER_SECOND - performance.now()));
      await happen(postgres, jobs[i % clients] ?? '');
    }
    await until(expected);
  };
  const phases = [await phase('no streams', false, idle), await phase('no streams, polls', true, idle)];
  const begun = performance.now();
  for (const id of jobs) follow(id);
  // Its creation is the first event of a job.
  await until(clients);
  const opened = performance.now() - begun;
  phases.push(
    await phase(`${clients} streams, nothing happens`, false, idle),
    await phase(`${clients} streams, nothing happens, polls`, true, idle),
    await phase(`${clients} streams of a job each, ${EVENTS_PER_SECOND} events/s`, false, spread),
    await phase(`${clients} streams of a job each, ${EVENTS_PER_SECOND} events/s, polls`, true, spread),
  );
  for (const stream of open.splice(0)) stream.close();

  const [first = ''] = jobs;
  const [{ n: known } = { n: 0 }] = await postgres.query<{ n: number }>(
    'select count(*)::int as n from events where job_id = $1',
    [first],
  );
  // What happened before comes again to those who begin to follow.
  seen = 0;
  times = [];
  for (let i = 0; i < clients; i++) follow(first);
  await until(known * clients);
  const untilAll: number[] = [];
  const shared = async () => {
    for (let i = 0; i < SHARED_EVENTS; i++) {
      const before = times.length;
      await happen(postgres, first);
      await until(seen + clients);
      untilAll.push(Math.max(...times.slice(before)));
      await sleep((SECONDS * 1000) / SHARED_EVENTS / 2);
    }
  };
  const together = await phase(`${clients} streams of one job, one event after the other`, false, shared);
  phases.push(together);

  printTable(
    [
      'API process',
      'CPU of the API, cores',
      'CPU of PostgreSQL, cores',
      'resident MiB',
      'conditional GET per second',
      'p99 ms',
      'events',
      'event at the client, p50 ms',
      'p99 ms',
      'most ms',
    ],
    phases.map(({ what, cpu, databaseCpu, resident, gets, times: after }) => [
      what,
      cpu.toFixed(2),
      databaseCpu.toFixed(2),
      mib(resident),
      gets === null ? '' : gets.perSecond.toFixed(0),
      gets === null ? '' : gets.p99Ms.toFixed(1),
      after.length === 0 ? '' : after.length,
      ...(after.length === 0 ? ['', '', ''] : [quantile(after, 0.5), quantile(after, 0.99), Math.max(...after)]),
    ]),
  );
  printTable(
    ['', ''],
    [
      [`${clients} streams opened and their first event sent, ms`, opened.toFixed(0)],
      [`until all ${clients} clients of one job have an event, p50 ms`, quantile(untilAll, 0.5)],
      ['the same, most ms', Math.max(...untilAll)],
      ['peak of the API, MiB', mib(peakBytes(pid))],
    ],
  );
  for (const stream of open.splice(0)) stream.close();
}
