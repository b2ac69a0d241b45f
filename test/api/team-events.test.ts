import { get as httpGet, type IncomingMessage } from 'node:http';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { JobRowView } from '../../src/api/jobs/schema.js';
import { createJob, finishNext } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { until } from '../support/until.js';
import { expectProblem, startService, type TestService } from './support/service.js';

let postgres: TestPostgres;
let service: TestService;
/** Another API process: what it does shows in the streams of the first. */
let other: TestService;
let port = 0;
const open: Stream[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres, { settings: { STREAMS_PER_KEY: '5' } });
  other = await startService(postgres, { beside: service });
  port = Number(new URL(await service.app.listen({ host: '127.0.0.1', port: 0 })).port);
});
afterEach(async () => {
  for (const stream of open.splice(0)) await stream.close();
});
afterAll(async () => {
  await service.close();
  await other.close();
  await postgres.stop();
});

interface Message {
  id: string;
  event: string;
  data: JobRowView;
}
interface Stream {
  response: IncomingMessage;
  messages: Message[];
  /** The last row of a job, or what was told of its removal. */
  last(jobId: string): Message | undefined;
  close(): Promise<void>;
}

const parse = (text: string): Message[] =>
  text
    .split('\n\n')
    .filter((block) => block.startsWith('id:'))
    .map((block) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '';
      return { id: field('id'), event: field('event'), data: JSON.parse(field('data')) as JobRowView };
    });

function follow(path: string, headers: Record<string, string> = {}): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const all = { accept: 'text/event-stream', authorization: service.keys.all, ...headers };
    httpGet({ port, path, headers: all, agent: false }, (response) => {
      let text = '';
      const ended = new Promise<void>((gone) => response.on('close', () => gone()));
      const stream: Stream = {
        response,
        messages: [],
        last: (jobId) => stream.messages.findLast(({ data }) => data.id === jobId),
        async close() {
          response.destroy();
          await ended;
        },
      };
      response.on('error', () => undefined);
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8');
        stream.messages = parse(text.slice(0, text.lastIndexOf('\n\n') + 2));
      });
      open.push(stream);
      resolve(stream);
    }).on('error', reject);
  });
}

const told = (stream: Stream, jobId: string, status: string) =>
  until(`${jobId} is told as ${status}`, () => stream.last(jobId)?.data.status === status);

test('tells every job of the team as a row, from its beginning to its end, whichever process it goes through', async () => {
  const stream = await follow('/jobs/events');
  const job = await createJob(other.database, { labels: { pipeline: 'a' } });
  const foreign = await createJob(other.database, {}, 'team_other');
  await told(stream, job.id, 'queued');
  const response = await service.call('GET', '/jobs?fields=short&label.pipeline=a');
  const { data: listed } = response.json<{ data: JobRowView[] }>();
  expect(stream.last(job.id)).toMatchObject({
    event: 'job',
    data: { ...listed[0], queue: { reason: 'no_such_worker' } },
  });
  for (let done = await finishNext(other.database, 1); done.kind !== 'evaluate' || done.jobId !== job.id;)
    done = await finishNext(other.database, 1);
  await told(stream, job.id, 'succeeded');
  expect(stream.last(job.id)?.data.progress.fraction).toBe(1);
  expect((await other.call('DELETE', `/jobs/${job.id}`)).statusCode).toBe(204);
  await until('the removal is told', () => stream.last(job.id)?.event === 'removed');
  expect(stream.last(foreign.id)).toBeUndefined();
});

test('goes on after the last id, with what the jobs are by then', async () => {
  const first = await follow('/jobs/events');
  const job = await createJob(service.database);
  await told(first, job.id, 'queued');
  const { id } = first.last(job.id) ?? { id: '' };
  await first.close();
  await other.call('POST', `/jobs/${job.id}/cancel`);
  const second = await follow('/jobs/events', { 'last-event-id': id });
  await told(second, job.id, 'canceled');
});

test('filters as the list does, and tells when a job leaves the filter', async () => {
  const [labelled, queued] = [
    await follow('/jobs/events?label.run=7'),
    await follow('/jobs/events?status=queued&text=NEEDLE'),
  ];
  const job = await createJob(service.database, { labels: { run: '7', name: 'a needle' } });
  const another = await createJob(service.database, { labels: { run: '8' } });
  await told(labelled, job.id, 'queued');
  await told(queued, job.id, 'queued');
  await service.call('POST', `/jobs/${job.id}/cancel`);
  await told(labelled, job.id, 'canceled');
  await told(queued, job.id, 'canceled');
  await service.call('POST', `/jobs/${job.id}/retry`);
  expect([labelled.last(another.id), queued.last(another.id)]).toEqual([undefined, undefined]);
});

test('many jobs at once are all told', async () => {
  const stream = await follow('/jobs/events');
  const jobs = await Promise.all(Array.from({ length: 60 }, () => createJob(other.database)));
  await until('all are told', () => jobs.every(({ id }) => stream.last(id) !== undefined));
  await other.call('POST', '/jobs/cancel', { payload: { ids: jobs.map(({ id }) => id) } });
  await until('all ends are told', () => jobs.every(({ id }) => stream.last(id)?.data.status === 'canceled'));
});

test('admins follow all teams, or one', async () => {
  const [all, one] = [await follow('/admin/jobs/events'), await follow('/admin/jobs/events?team=team_other')];
  const foreign = await createJob(service.database, {}, 'team_other');
  const own = await createJob(service.database);
  await told(all, foreign.id, 'queued');
  await told(all, own.id, 'queued');
  await told(one, foreign.id, 'queued');
  expect(one.last(own.id)).toBeUndefined();
  expectProblem(await service.call('GET', '/admin/jobs/events', { key: service.keys.reader }), 403, 'forbidden');
});

test('is refused without the Accept, with a wrong id, and when a key has too many open', async () => {
  expectProblem(await service.call('GET', '/jobs/events'), 400, 'invalid_request');
  const headers = { accept: 'text/event-stream' };
  const wrong = await service.call('GET', '/jobs/events', { headers: { ...headers, 'last-event-id': 'x' } });
  expectProblem(wrong, 400, 'invalid_request');
  for (let i = 0; i < 5; i++) await follow('/jobs/events');
  const more = await service.call('GET', '/jobs/events', { headers });
  expectProblem(more, 429, 'too_many_requests');
  expect(more.headers['retry-after']).toBeDefined();
});

test('goes on after the notifications were lost with their connection', async () => {
  const stream = await follow('/jobs/events');
  const before = await createJob(service.database);
  await told(stream, before.id, 'queued');
  await postgres.cutConnections(service.database.url);
  const job = await createJob(other.database);
  await told(stream, job.id, 'queued');
});
