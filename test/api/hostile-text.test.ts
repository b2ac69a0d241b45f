import { afterAll, beforeAll, expect, test } from 'vitest';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { form } from './support/form.js';
import { startService, submit, upload, type TestService } from './support/service.js';

/** Text that PostgreSQL, JSON or JavaScript itself trips over: a client's mistake is never a failure of the service. */

let postgres: TestPostgres;
let service: TestService;
beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres);
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

const TEXTS: [string, string][] = [
  ['a NUL', 'a\u0000b'],
  ['half of a character', 'a\ud800b'],
  ['the other half', '\udc00'],
  ['a byte order mark', '\ufeff'],
  ['something not a character', '\uffff'],
];
const encoded = (text: string) =>
  [...Buffer.from(text, 'utf8')].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

test.each(TEXTS)('%s in a path or query', async (_, text) => {
  const raw = encoded(text);
  for (const [method, url] of [
    ['GET', `/jobs/${raw}`],
    ['GET', `/jobs/${raw}/layers`],
    ['GET', `/jobs/${raw}/events`],
    ['GET', `/jobs/${raw}/artifacts`],
    ['GET', `/jobs/${raw}/artifacts/${raw}`],
    ['POST', `/jobs/${raw}/cancel`],
    ['POST', `/jobs/${raw}/retry`],
    ['DELETE', `/jobs/${raw}`],
    ['GET', `/jobs?after=${raw}`],
    ['GET', `/jobs?label.name=${raw}`],
    ['GET', `/jobs?label.${raw}=value`],
    ['GET', `/jobs?status=${raw}`],
    ['GET', `/jobs?created_after=${raw}`],
    ['GET', `/uploads/${raw}`],
    ['DELETE', `/uploads/${raw}`],
    ['POST', `/uploads?filename=${raw}`],
    ['GET', `/teams?after=${raw}`],
    ['GET', `/teams/${raw}`],
    ['GET', `/teams/${raw}/keys`],
    ['GET', `/teams/self/keys/${raw}`],
    ['DELETE', `/teams/self/keys/${raw}`],
    ['GET', `/usage?by=label&label=${raw}`],
    ['GET', `/usage?team=${raw}`],
    ['GET', `/webhooks/deliveries/${raw}`],
    ['GET', `/webhooks/deliveries?job_id=${raw}`],
    ['GET', `/webhooks/deliveries?after=${raw}`],
    ['POST', `/webhooks/deliveries/${raw}/replay`],
  ] as const) {
    const isUpload = url.startsWith('/uploads?');
    const response = await service.call(
      method,
      url,
      isUpload ? { payload: 'bytes', headers: { 'content-type': 'application/octet-stream' } } : {},
    );
    expect(response.statusCode, `${method} ${url}: ${response.body}`).toBeLessThan(500);
  }
});

test.each(TEXTS)('%s in a body', async (_, text) => {
  const id = await upload(service, 'some bytes');
  const files = { model: { upload: id }, calibration: { upload: id }, target: { parameter_ratio: 4 } };
  for (const [url, payload] of [
    ['/jobs', { ...files, labels: { name: text } }],
    ['/jobs', { ...files, labels: { [text]: 'value' } }],
    ['/jobs', { ...files, model: { upload: text } }],
    ['/jobs', { ...files, method: { layers: { include: [text] } } }],
    ['/jobs', { ...files, webhook: { url: `https://hooks.example.com/${text}` } }],
    ['/jobs', { ...files, [text]: 1 }],
    ['/teams', { name: text }],
    ['/teams/self/keys', { name: text, scopes: ['jobs:read'] }],
    ['/webhooks/enable-endpoint', { url: text }],
  ] as const) {
    const response = await service.call('POST', url, { payload });
    expect(response.statusCode, `${url} ${JSON.stringify(payload)}: ${response.body}`).toBeLessThan(500);
  }
  const response = await service.call('POST', '/jobs', {
    payload: files,
    headers: { 'idempotency-key': encoded(text) },
  });
  expect(response.statusCode).toBe(202);
});

test('a body that is nested as deep as it may be long', async () => {
  const depth = 400_000;
  const nested = '['.repeat(depth) + ']'.repeat(depth);
  for (const payload of [nested, `{"labels": ${nested}}`, `{"target": {"x": ${nested}}}`]) {
    const response = await service.call('POST', '/jobs', { payload, headers: { 'content-type': 'application/json' } });
    expect(response.statusCode, response.body.slice(0, 300)).toBeLessThan(500);
    const sent = form([{ name: 'spec', content: payload }]);
    const inForm = await service.call('POST', '/jobs', { payload: sent.payload, headers: sent.headers });
    expect(inForm.statusCode, inForm.body.slice(0, 300)).toBeLessThan(500);
  }
});

test('a login to the dashboard that is no form', async () => {
  for (const payload of [{ key: 5 }, { key: ['a'] }, { key: null }, [], 'text']) {
    const response = await service.call('POST', '/admin/login', {
      key: null,
      payload: JSON.stringify(payload),
      headers: { 'content-type': 'application/json' },
    });
    expect(response.statusCode, JSON.stringify(payload)).toBeLessThan(500);
    expect(response.statusCode, JSON.stringify(payload)).toBeGreaterThanOrEqual(400);
  }
});

test('a filter by a label that is a name of JavaScript filters', async () => {
  await submit(service, { labels: { name: 'value' } });
  for (const name of ['__proto__', 'constructor', 'toString']) {
    const found = await service.call('GET', `/jobs?label.${name}=x`);
    expect(found.json<{ data: unknown[] }>().data, name).toEqual([]);
  }
});
