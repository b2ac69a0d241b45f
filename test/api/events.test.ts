import { get as httpGet, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { finishNext } from '../support/jobs.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { until } from '../support/until.js';
import { expectProblem, startService, submit, watchersOf, type TestService } from './support/service.js';

let postgres: TestPostgres;
let service: TestService;
let port = 0;

beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres, { settings: { STREAMS_PER_KEY: '50' } });
  await service.app.listen({ host: '127.0.0.1', port: 0 });
  const address = service.app.server.address();
  port = typeof address === 'object' && address !== null ? address.port : 0;
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

interface Stream {
  response: IncomingMessage;
  /** Fields of the messages so far. */
  messages: { id: string; event: string; data: { type: string } }[];
  ended: Promise<void>;
}

function parse(text: string): Stream['messages'] {
  return text
    .split('\n\n')
    .filter((block) => block.startsWith('id:'))
    .map((block) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '';
      return { id: field('id'), event: field('event'), data: JSON.parse(field('data')) as { type: string } };
    });
}

function stream(id: string, headers: Record<string, string> = {}): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const all = { accept: 'text/event-stream', authorization: service.keys.all, ...headers };
    httpGet({ port, path: `/jobs/${id}/events`, headers: all, agent: false }, (response) => {
      let text = '';
      const result: Stream = {
        response,
        messages: [],
        ended: new Promise((ended) => response.on('close', () => ended())),
      };
      response.on('error', () => undefined);
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8');
        result.messages = parse(text.slice(0, text.lastIndexOf('\n\n') + 2));
      });
      resolve(result);
    }).on('error', reject);
  });
}

async function finish(tasks: number) {
  for (let i = 0; i < tasks; i++) await finishNext(service.database, 2);
}
/** inspect, plan, two layers, assemble, evaluate */
const ALL_TASKS = 6;

test('pages of events, oldest first, go on after the last one', async () => {
  const id = await submit(service);
  await finish(ALL_TASKS);
  interface Page {
    data: { id: string; type: string; job_id: string }[];
    has_more: boolean;
    next: string;
  }
  const page = async (query: string) => (await service.call('GET', `/jobs/${id}/events?${query}`)).json<Page>();
  const first = await page('limit=2');
  expect(first.data[0]).toMatchObject({ type: 'job.created', job_id: id });
  expect([first.data.length, first.has_more]).toEqual([2, true]);
  const rest = await page(`after=${first.next}&limit=100`);
  expect(rest.data.at(-1)?.type).toBe('job.succeeded');
  expect([...first.data, ...rest.data]).toEqual((await page('limit=100')).data);
  expectProblem(await service.call('GET', `/jobs/${id}/events?after=x`), 400, 'invalid_request');
  expectProblem(await service.call('GET', `/jobs/${id}/events`, { key: service.keys.stranger }), 404, 'not_found');
});

test('a stream is live and closes at the end of the job', async () => {
  const id = await submit(service);
  const live = await stream(id);
  expect(live.response.headers['content-type']).toContain('text/event-stream');
  expect(live.response.headers['x-content-type-options']).toBe('nosniff');
  await until('the first event', () => live.messages.length > 0);
  await finish(2);
  await until('events of the first tasks', () => live.messages.some((message) => message.event === 'job.phase'));
  await finish(4);
  await live.ended;
  const types = live.messages.map((message) => message.event);
  expect([types[0], types.at(-1)]).toEqual(['job.created', 'job.succeeded']);
  const numbers = live.messages.map((message) => Number(message.id));
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));

  // Cut anywhere, a client has every event exactly once.
  const resumed = await stream(id, { 'last-event-id': live.messages[2]?.id ?? '' });
  await resumed.ended;
  expect(resumed.messages).toEqual(live.messages.slice(3));
  const done = await stream(id, { 'last-event-id': live.messages.at(-1)?.id ?? '' });
  expect(done.response.statusCode).toBe(204);
});

test('a stream of another team’s job is 404, one without a key 401, both as problems', async () => {
  const id = await submit(service);
  const foreign = await stream(id, { authorization: service.keys.stranger });
  expect([foreign.response.statusCode, foreign.response.headers['content-type']]).toEqual([
    404,
    'application/problem+json',
  ]);
  expect((await stream(id, { authorization: '' })).response.statusCode).toBe(401);
  const bad = await stream(id, { 'last-event-id': 'abc' });
  expect(bad.response.statusCode).toBe(400);
  await service.call('POST', `/jobs/${id}/cancel`);
});

test('a stream ends with the key that it was opened with', async () => {
  const id = await submit(service);
  const key = (
    await service.call('POST', '/teams/self/keys', { payload: { name: 'ends', scopes: ['jobs:read'] } })
  ).json<{
    id: string;
    key: string;
  }>();
  const follower = await stream(id, { authorization: `Bearer ${key.key}` });
  const other = await stream(id);
  await until('the first event', () => follower.messages.length === 1);
  expect((await service.call('DELETE', `/teams/self/keys/${key.id}`)).statusCode).toBeLessThan(300);
  await follower.ended;
  await service.call('POST', `/jobs/${id}/cancel`);
  await other.ended;
  expect(other.messages.at(-1)?.event).toBe('job.canceled');
  expect(follower.messages.map(({ event }) => event)).toEqual(['job.created']);
});

test('fifty clients follow one job', async () => {
  const id = await submit(service);
  const clients = await Promise.all(Array.from({ length: 50 }, () => stream(id)));
  await finish(ALL_TASKS);
  await Promise.all(clients.map((client) => client.ended));
  for (const client of clients) expect(client.messages).toEqual(clients[0]?.messages);
  expect(clients[0]?.messages.at(-1)?.event).toBe('job.succeeded');
});

test('closing the server ends streams and waits at once', async () => {
  const other = await startService(postgres);
  await other.app.listen({ host: '127.0.0.1', port: 0 });
  const id = await submit(other);
  const watched = watchersOf(other, id);
  const waiting = other.call('GET', `/jobs/${id}`, { headers: { prefer: 'wait=50' } });
  const address = other.app.server.address();
  const otherPort = typeof address === 'object' && address !== null ? address.port : 0;
  const headers = { accept: 'text/event-stream', authorization: other.keys.all };
  let streams = false;
  const ended = new Promise<void>((resolve, reject) => {
    httpGet({ port: otherPort, path: `/jobs/${id}/events`, headers, agent: false }, (response) => {
      response.once('data', () => (streams = true)).resume();
      response.on('close', () => resolve());
    }).on('error', reject);
  });
  await until('both are served', () => streams && watched() >= 2);
  const started = Date.now();
  await other.close();
  await ended;
  expect((await waiting).statusCode).toBe(200);
  expect(Date.now() - started).toBeLessThan(4000);
});

test('a key may have only so many streams open, other keys are not touched, and there is room when one ends', async () => {
  const id = await submit(service);
  const open = await Promise.all(Array.from({ length: 50 }, () => stream(id)));
  expect(open.map(({ response }) => response.statusCode)).toEqual(open.map(() => 200));
  const headers = { accept: 'text/event-stream' };
  const refused = await service.call('GET', `/jobs/${id}/events`, { headers });
  expect(expectProblem(refused, 429, 'too_many_requests').detail).toContain('STREAMS_PER_KEY');
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  expect((await service.call('GET', `/jobs/${id}/events`)).statusCode).toBe(200);
  const other = await stream(id, { authorization: service.keys.reader });
  expect(other.response.statusCode).toBe(200);
  other.response.destroy();
  for (const { response } of open) response.destroy();
  await until('there is room', async () => {
    const next = await stream(id);
    next.response.destroy();
    return next.response.statusCode === 200;
  });
});

test('HEAD of a stream is answered at once, and the connection ends where the client says so', async () => {
  const id = await submit(service);
  for (const path of [`/jobs/${id}/events`, '/jobs/events']) {
    const socket = connect(port, '127.0.0.1');
    const lines = [`HEAD ${path} HTTP/1.1`, 'Host: x', 'Connection: close', 'Accept: text/event-stream'];
    socket.write([...lines, `Authorization: ${service.keys.all}`, '', ''].join('\r\n'));
    const answer = await text(socket);
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answer).toMatch(/connection: close/i);
  }
  for (const path of [`/jobs/${id}/events`, '/jobs/events']) {
    const headers = { accept: 'text/event-stream', authorization: service.keys.all };
    const response = await fetch(`http://127.0.0.1:${String(port)}${path}`, { method: 'HEAD', headers });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
  }
});
