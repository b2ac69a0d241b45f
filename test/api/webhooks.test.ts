import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { webhookBody } from '../../src/api/webhooks/body.js';
import { deliver, startDeliverer, type DelivererDeps } from '../../src/maintenance/webhook-deliverer.js';
import { newSecret, signedHeaders } from '../../src/outbound/webhook-signature.js';
import { DEFAULT_TEAM } from '../../src/database/records.js';
import { serializeError } from '../../src/errors/classify.js';
import { InputError } from '../../src/errors/index.js';
import { retryDelaySeconds } from '../../src/jobs/webhook.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { claimNext, createJob, finishNext, testSpec } from '../support/jobs.js';
import { quietLog } from '../support/log.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { runSql } from '../support/teams.js';
import { until } from '../support/until.js';
import { openEndpoint, type Endpoint } from './support/endpoint.js';
import { expectProblem, startService, submit, upload, type TestService } from './support/service.js';

const badModel = serializeError(new InputError('invalid_model', 'NaN in the weights', { layer: 'conv1' }));
const DELIVERER = fileURLToPath(new URL('./support/deliverer-process.ts', import.meta.url));
const NEVER = new AbortController().signal;

let postgres: TestPostgres;
const open: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  postgres = await startPostgres();
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});
afterAll(() => postgres.stop());

const opened = <T extends { close(): Promise<void> }>(one: T): T => {
  open.push(one);
  return one;
};
const start = async (endpoint: Endpoint) =>
  opened(await startService(postgres, { settings: { URL_ALLOWED_HOSTS: endpoint.host } }));
const deps = ({ database, config }: TestService): DelivererDeps => ({
  database,
  config,
  logger: quietLog as DelivererDeps['logger'],
  metrics: createMetrics(),
  body: webhookBody,
});
const newSecretOf = async (service: TestService) =>
  (await service.call('POST', '/webhooks/secret')).json<{ secret: string }>().secret;

/** A job that tells `url`, and has failed. */
async function failJob({ database }: TestService, url: string): Promise<string> {
  const job = await createJob(database, { spec: { ...testSpec(), webhook: { url } } });
  const task = await claimNext(database);
  if (task === null) throw new Error('nothing to claim');
  await database.pool.fail(task.taskId, task.attempt, badModel);
  return job.id;
}

/** Claims what is due and makes one attempt at each. */
async function attemptAll(service: TestService, change: Partial<DelivererDeps> = {}): Promise<number> {
  const claimed = await service.database.webhooks.claim(100, 60);
  for (const one of claimed) await deliver({ ...deps(service), ...change }, one, NEVER);
  return claimed.length;
}
const makeDue = ({ database }: TestService) =>
  runSql(database.url, "update webhook_deliveries set next_at = now() - interval '1 second' where state = 'pending'");

interface Shown {
  id: string;
  job_id: string;
  state: string;
  attempts: number;
  next_attempt_at: string | null;
  log: { status: number | null; error: string | null; duration_ms: number; snippet: string | null }[];
}
async function shown(service: TestService, jobId: string): Promise<Shown> {
  const { data } = (await service.call('GET', `/webhooks/deliveries?job_id=${jobId}`)).json<{ data: Shown[] }>();
  const response = await service.call('GET', `/webhooks/deliveries/${data[0]?.id ?? 'none'}`);
  expect(response.statusCode, response.body).toBe(200);
  return response.json<Shown>();
}

describe('the signature', () => {
  it('is what the reference library of the specification takes, and only for this id, time and body', () => {
    const secret = newSecret();
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    const body = '{"type":"job.succeeded"}';
    const headers = signedHeaders('msg_1', new Date(), body, [secret]);
    expect(new Webhook(secret).verify(body, headers)).toEqual({ type: 'job.succeeded' });
    for (const [text, changed] of [
      [`${body} `, headers],
      [body, { ...headers, 'webhook-id': 'msg_2' }],
      [body, { ...headers, 'webhook-timestamp': String(Number(headers['webhook-timestamp']) + 1) }],
    ] as const) {
      expect(() => new Webhook(secret).verify(text, changed)).toThrow('No matching signature');
    }
    expect(() => new Webhook(newSecret()).verify(body, headers)).toThrow('No matching signature');
  });

  it('is made with the new and the old secret while both are valid', () => {
    const secrets = [newSecret(), newSecret()];
    const headers = signedHeaders('msg_1', new Date(), '{}', secrets);
    for (const secret of secrets) expect(new Webhook(secret).verify('{}', headers)).toEqual({});
  });
});

describe('the schedule', () => {
  it('is the one of the specification, ten attempts over about three days, each at random up to a fifth later', () => {
    const planned = Array.from({ length: 10 }, (_, i) => retryDelaySeconds(i + 1, 0));
    expect(planned).toEqual([5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400, null]);
    expect(retryDelaySeconds(2, 0.5)).toBe(330);
    expect(retryDelaySeconds(2, 1)).toBe(360);
  });

  it('grants an endpoint that asks for more time that time, within bounds', () => {
    expect(retryDelaySeconds(1, 0, 120)).toBe(120);
    expect(retryDelaySeconds(3, 0, 120)).toBe(1800);
    expect(retryDelaySeconds(1, 0, 1e9)).toBe(86_400);
    expect(retryDelaySeconds(10, 0, 120)).toBeNull();
  });
});

describe('a webhook', () => {
  it('tells the end of a job once, signed, with the job as the interface shows it', async () => {
    const endpoint = opened(await openEndpoint((_request, response) => response.end('thanks\u0000\u0007!')));
    const service = await start(endpoint);
    const secret = await newSecretOf(service);
    const jobId = await submit(service, { webhook: { url: endpoint.url } });
    for (let step = 0; step < 6; step++) await finishNext(service.database, 2);
    const deliverer = opened(startDeliverer(deps(service)));
    await until('it is delivered', async () => (await shown(service, jobId)).state === 'delivered');
    await deliverer.close();

    expect(endpoint.received).toHaveLength(1);
    const [{ body, headers } = { body: '', headers: {} }] = endpoint.received;
    const message = new Webhook(secret).verify(body, headers) as { type: string; timestamp: string; data: object };
    const job = (await service.call('GET', `/jobs/${jobId}`)).json<{ finished_at: string; artifacts: unknown[] }>();
    expect(message).toEqual({ type: 'job.succeeded', timestamp: expect.any(String) as string, data: job });
    expect(job.artifacts).toHaveLength(2);
    expect(Math.abs(Date.parse(message.timestamp) - Date.parse(job.finished_at))).toBeLessThan(1000);
    expect(headers['content-type']).toBe('application/json');

    const delivery = await shown(service, jobId);
    expect(delivery).toMatchObject({
      id: headers['webhook-id'],
      state: 'delivered',
      attempts: 1,
      next_attempt_at: null,
    });
    expect(delivery.log).toMatchObject([{ status: 200, error: null, snippet: 'thanks !' }]);
  });

  it('is recorded with the end of the job or not at all', async () => {
    const endpoint = opened(await openEndpoint());
    const service = await start(endpoint);
    const { database } = service;
    const { id } = await createJob(database, { spec: { ...testSpec(), webhook: { url: endpoint.url } } });
    const task = await claimNext(database);
    if (task === null) throw new Error('nothing to claim');
    const fail = () => database.pool.fail(task.taskId, task.attempt, badModel);
    await runSql(database.url, 'alter table webhook_deliveries rename to gone');
    await expect(fail()).rejects.toThrow();
    expect(await database.jobs.get(DEFAULT_TEAM, id)).toMatchObject({ status: 'running' });
    await runSql(database.url, 'alter table gone rename to webhook_deliveries');
    expect((await database.webhooks.list(DEFAULT_TEAM, { limit: 10 }))?.data).toEqual([]);
    expect(await fail()).toBe('failed');
    expect(await database.jobs.get(DEFAULT_TEAM, id)).toMatchObject({ status: 'failed' });
    expect(await shown(service, id)).toMatchObject({ state: 'pending', attempts: 0 });
  });

  it('tells canceled jobs too, and every end of a job that was tried again', async () => {
    const endpoint = opened(await openEndpoint());
    const service = await start(endpoint);
    await newSecretOf(service);
    const jobId = await submit(service, { webhook: { url: endpoint.url } });
    await service.call('POST', `/jobs/${jobId}/cancel`);
    expect((await service.call('POST', `/jobs/${jobId}/retry`)).statusCode).toBe(202);
    await service.call('POST', `/jobs/${jobId}/cancel`);
    expect(await attemptAll(service)).toBe(2);
    const bodies = endpoint.received.map(({ body }) => JSON.parse(body) as { type: string; data: { status: string } });
    expect(bodies).toMatchObject([1, 2].map(() => ({ type: 'job.canceled', data: { status: 'canceled' } })));
    expect(new Set(endpoint.received.map(({ headers }) => headers['webhook-id'])).size).toBe(2);
  });

  it('is tried again with the same id and body, each attempt in the log, until the schedule ends', async () => {
    let status = 500;
    const endpoint = opened(
      await openEndpoint((_request, response) => response.writeHead(status).end('x'.repeat(100_000))),
    );
    const service = await start(endpoint);
    await newSecretOf(service);
    const jobId = await failJob(service, endpoint.url);
    expect(await attemptAll(service)).toBe(1);
    const first = await shown(service, jobId);
    expect(first).toMatchObject({ state: 'pending', attempts: 1, log: [{ status: 500, snippet: 'x'.repeat(500) }] });
    const wait = (Date.parse(first.next_attempt_at ?? '') - Date.now()) / 1000;
    expect(wait).toBeGreaterThan(3);
    expect(wait).toBeLessThan(6.1);
    // Not before its time.
    expect(await attemptAll(service)).toBe(0);
    for (let attempt = 2; attempt <= 10; attempt++) {
      await makeDue(service);
      expect(await attemptAll(service)).toBe(1);
    }
    const last = await shown(service, jobId);
    expect(last).toMatchObject({ id: first.id, state: 'failed', attempts: 10, next_attempt_at: null });
    expect(last.log).toHaveLength(10);
    expect(new Set(endpoint.received.map(({ body, headers }) => `${headers['webhook-id']} ${body}`)).size).toBe(1);

    status = 200;
    const replayed = await service.call('POST', `/webhooks/deliveries/${first.id}/replay`);
    expect([replayed.statusCode, replayed.json<Shown>().state]).toEqual([202, 'pending']);
    expect(await attemptAll(service)).toBe(1);
    expect(await shown(service, jobId)).toMatchObject({ state: 'delivered', attempts: 11 });
    expect(endpoint.received.at(-1)?.headers['webhook-id']).toBe(first.id);
  });

  it('is sent by one of many processes, each message once', async () => {
    const endpoint = opened(await openEndpoint());
    const service = await start(endpoint);
    await newSecretOf(service);
    const ids = [];
    for (let i = 0; i < 30; i++) ids.push(await failJob(service, endpoint.url));
    const others = await Promise.all([1, 2].map(() => postgres.openAgain(service.database)));
    for (const database of [service.database, ...others]) opened(startDeliverer({ ...deps(service), database }));
    await until('all are delivered', async () => {
      const { data } = (await service.call('GET', '/webhooks/deliveries?state=delivered&limit=100')).json<{
        data: Shown[];
      }>();
      return data.length === 30;
    });
    const told = endpoint.received.map(({ body }) => (JSON.parse(body) as { data: { id: string } }).data.id);
    expect(told.sort()).toEqual(ids.sort());
  });

  it('whose process died on the way is sent by another one, and the dead one may not write any more', async () => {
    const endpoint = opened(await openEndpoint());
    const service = await start(endpoint);
    await newSecretOf(service);
    const jobId = await failJob(service, endpoint.url);
    const [lost] = await service.database.webhooks.claim(1, 60);
    expect(await attemptAll(service)).toBe(0);
    await runSql(service.database.url, "update webhook_deliveries set lease_until = now() - interval '1 second'");
    expect(await attemptAll(service)).toBe(1);
    if (lost === undefined) throw new Error('nothing was claimed');
    const attempt = { status: 500, error: null, durationMs: 1, snippet: null };
    expect(await service.database.webhooks.record(lost, attempt, { verdict: 'retry', retryInSeconds: 5 })).toBe(false);
    expect(await shown(service, jobId)).toMatchObject({ state: 'delivered', attempts: 1 });
  });

  it('survives SIGKILL of the process that sends it, in the middle of an attempt', async () => {
    let hangs = true;
    const endpoint = opened(await openEndpoint((_request, response) => void (hangs || response.writeHead(204).end())));
    const service = await start(endpoint);
    await newSecretOf(service);
    const jobId = await failJob(service, endpoint.url);
    const child = fork(DELIVERER, [service.database.url, endpoint.host], { execArgv: ['--import', 'tsx'] });
    await until('it is on its way', () => Promise.resolve(endpoint.received.length === 1));
    child.kill('SIGKILL');
    await once(child, 'exit');
    hangs = false;
    expect(await shown(service, jobId)).toMatchObject({ state: 'pending', attempts: 0 });
    await runSql(service.database.url, "update webhook_deliveries set lease_until = now() - interval '1 second'");
    opened(startDeliverer(deps(service)));
    await until('it is delivered', async () => (await shown(service, jobId)).state === 'delivered');
    const [first, second] = endpoint.received;
    expect(second?.body).toBe(first?.body);
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
  });

  it('does not wait behind another team whose endpoint hangs', async () => {
    const endpoint = opened(await openEndpoint());
    const service = await start(endpoint);
    await newSecretOf(service);
    for (let i = 0; i < 12; i++) await failJob(service, endpoint.url);
    await runSql(service.database.url, "update webhook_deliveries set team_id = 'team_other'");
    const jobId = await failJob(service, endpoint.url);
    const claimed = await service.database.webhooks.claim(32, 60);
    expect(claimed.filter(({ teamId }) => teamId === 'team_other')).toHaveLength(8);
    expect(claimed.map((one) => one.jobId)).toContain(jobId);
    expect(await service.database.webhooks.claim(32, 60)).toEqual([]);
  });
});

describe('an endpoint', () => {
  it('that says 410 Gone is sent nothing more until it is enabled', async () => {
    let status = 410;
    const endpoint = opened(await openEndpoint((_request, response) => response.writeHead(status).end()));
    const service = await start(endpoint);
    await newSecretOf(service);
    const jobs = [await failJob(service, endpoint.url), await failJob(service, endpoint.url)];
    const [first] = await service.database.webhooks.claim(1, 60);
    if (first === undefined) throw new Error('nothing was claimed');
    await deliver(deps(service), first, NEVER);
    for (const id of jobs) expect(await shown(service, id)).toMatchObject({ state: 'disabled', next_attempt_at: null });
    const late = await shown(service, await failJob(service, endpoint.url));
    expect(late).toMatchObject({ state: 'disabled', attempts: 0 });
    expect(await attemptAll(service)).toBe(0);
    expect(endpoint.received).toHaveLength(1);

    const spec = {
      model: { upload: await upload(service, 'm', 'm.onnx') },
      calibration: { upload: await upload(service, 'c', 'c.npz') },
      target: { parameter_ratio: 2 },
      webhook: { url: endpoint.url },
    };
    const refused = expectProblem(await service.call('POST', '/jobs', { payload: spec }), 422, 'invalid_spec');
    expect(refused.errors).toMatchObject([
      { pointer: '/webhook/url', detail: expect.stringContaining('410') as string },
    ]);
    expectProblem(await service.call('POST', `/webhooks/deliveries/${late.id}/replay`), 409, 'conflict');
    const { data } = (await service.call('GET', '/webhooks/disabled-endpoints')).json<{ data: { url: string }[] }>();
    expect(data).toMatchObject([{ url: endpoint.url }]);

    status = 200;
    const enable = () => service.call('POST', '/webhooks/enable-endpoint', { payload: { url: endpoint.url } });
    expect((await enable()).statusCode).toBe(204);
    expectProblem(await enable(), 404, 'not_found');
    expect((await service.call('POST', `/webhooks/deliveries/${late.id}/replay`)).statusCode).toBe(202);
    expect(await attemptAll(service)).toBe(1);
    expect((await service.call('POST', '/jobs', { payload: spec })).statusCode).toBe(202);
  });

  it('that redirects, is silent, breaks off or resolves to a private address has failed this time, and is told nothing', async () => {
    const elsewhere = opened(await openEndpoint());
    const endpoint = opened(
      await openEndpoint((request, response) => {
        if (request.url === '/redirect') response.writeHead(302, { location: elsewhere.url }).end();
        if (request.url === '/broken') request.socket.destroy();
        if (request.url === '/half') response.writeHead(200, { 'content-length': 100 }).write('half');
      }),
    );
    const service = await start(endpoint);
    await newSecretOf(service);
    const attempt = async (url: string) => {
      const id = await failJob(service, url);
      await attemptAll(service, { attemptMs: 300 });
      await runSql(service.database.url, "update webhook_deliveries set state = 'failed'");
      const { log, attempts } = await shown(service, id);
      expect(attempts).toBe(1);
      return log[0];
    };
    const at = (path: string) => `http://${endpoint.host}/${path}`;
    expect(await attempt(at('redirect'))).toMatchObject({ status: 302 });
    expect(elsewhere.received).toEqual([]);
    expect(await attempt(at('broken'))).toMatchObject({
      status: null,
      error: expect.stringContaining('reached') as string,
    });
    expect(await attempt(at('silent'))).toMatchObject({ status: null, error: 'no answer within 0.3 s' });
    expect(await attempt(at('half'))).toMatchObject({ status: 200, snippet: 'half' });
    // Taken when the job was submitted, and private by now.
    expect(await attempt(elsewhere.url.replace('http:', 'https:'))).toMatchObject({
      error: expect.stringContaining('public') as string,
    });
    expect(await attempt('https://localhost:1/')).toMatchObject({ error: expect.stringContaining('public') as string });
    expect(elsewhere.received).toEqual([]);
  });

  it.each([
    ['http://example.com/hook', 'is not https'],
    ['https://169.254.169.254/', 'is not a public address'],
    ['https://me:secret@example.com/', 'carries credentials'],
    ['https://0x7f000001/', 'is not a public address'],
  ])('%s is refused at submission: %s', async (url, detail) => {
    const service = opened(await startService(postgres));
    await newSecretOf(service);
    const payload = {
      model: { upload: await upload(service, 'm', 'm.onnx') },
      calibration: { upload: await upload(service, 'c', 'c.npz') },
      target: { parameter_ratio: 2 },
      webhook: { url },
    };
    const problem = expectProblem(await service.call('POST', '/jobs', { payload }), 422, 'invalid_spec');
    expect(problem.errors).toMatchObject([
      { pointer: '/webhook/url', detail: expect.stringContaining(detail) as string },
    ]);
    expect(JSON.stringify(problem)).not.toContain('secret@');
    expect((await service.call('GET', '/jobs')).json()).toMatchObject({ data: [] });
  });
});

describe('the signing secret', () => {
  it('is needed before the first webhook, shown once, and the old one signs for a day after a rotation', async () => {
    const endpoint = opened(await openEndpoint());
    const service = await start(endpoint);
    expectProblem(await service.call('GET', '/webhooks/secret'), 404, 'not_found');
    const payload = {
      model: { upload: await upload(service, 'm', 'm.onnx') },
      calibration: { upload: await upload(service, 'c', 'c.npz') },
      target: { parameter_ratio: 2 },
      webhook: { url: endpoint.url },
    };
    const refused = expectProblem(await service.call('POST', '/jobs', { payload }), 422, 'invalid_spec');
    expect(refused.detail).toContain('POST /webhooks/secret');

    const secrets = [await newSecretOf(service), await newSecretOf(service)];
    const info = await service.call('GET', '/webhooks/secret');
    for (const secret of secrets) expect(info.body).not.toContain(secret);
    const until = Date.parse(info.json<{ previous_valid_until: string }>().previous_valid_until);
    expect((until - Date.now()) / 3600_000).toBeCloseTo(24, 1);

    const verifies = (secret: string, { body, headers }: (typeof endpoint.received)[number]) => {
      try {
        return Boolean(new Webhook(secret).verify(body, headers));
      } catch {
        return false;
      }
    };
    await failJob(service, endpoint.url);
    await attemptAll(service);
    expect(endpoint.received.map((one) => secrets.map((secret) => verifies(secret, one)))).toEqual([[true, true]]);
    await runSql(service.database.url, 'update webhook_secrets set expires_at = now() where expires_at is not null');
    await failJob(service, endpoint.url);
    await attemptAll(service);
    expect(secrets.map((secret) => endpoint.received.slice(1).map((one) => verifies(secret, one)))).toEqual([
      [false],
      [true],
    ]);
  });
});

it('messages belong to a team: another one sees, replays and enables nothing, and pages are complete', async () => {
  const endpoint = opened(await openEndpoint());
  const service = await start(endpoint);
  const jobs = [];
  for (let i = 0; i < 5; i++) jobs.push(await failJob(service, endpoint.url));
  const { id } = await shown(service, jobs[0] ?? '');
  const key = service.keys.stranger;
  expectProblem(await service.call('GET', `/webhooks/deliveries/${id}`, { key }), 404, 'not_found');
  expectProblem(await service.call('POST', `/webhooks/deliveries/${id}/replay`, { key }), 404, 'not_found');
  expect((await service.call('GET', '/webhooks/deliveries', { key })).json()).toMatchObject({ data: [] });
  expectProblem(await service.call('GET', `/webhooks/deliveries?after=${id}`, { key }), 400, 'invalid_request');
  for (const path of ['secret', `deliveries/${id}/replay`, 'enable-endpoint']) {
    const payload = path === 'enable-endpoint' ? { url: endpoint.url } : undefined;
    const call = { key: service.keys.reader, ...(payload === undefined ? {} : { payload }) };
    expectProblem(await service.call('POST', `/webhooks/${path}`, call), 403, 'forbidden');
  }
  const seen = [];
  for (let after = ''; ;) {
    const page = (await service.call('GET', `/webhooks/deliveries?limit=2${after}`)).json<{
      data: Shown[];
      next: string | null;
    }>();
    seen.push(...page.data.map((one) => one.job_id));
    if (page.next === null) break;
    after = `&after=${page.next}`;
  }
  expect(seen).toEqual([...jobs].reverse());
});
