import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import Fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { registerTracing } from '../src/api/plugins/tracing.js';
import { NO_TELEMETRY, openTelemetry, readTraceparent } from '../src/observability/telemetry.js';
import { LocalStorage } from '../src/storage/local-storage.js';
import { createJob, stepResult } from './support/jobs.js';
import { quietLog } from './support/log.js';
import { startPostgres, type TestPostgres } from './support/postgres.js';
import { openRig } from './worker/rig.js';

interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  attributes: { key: string; value: Record<string, unknown> }[];
}

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

/** A collector that takes OTLP as JSON. */
async function openCollector() {
  const spans: Span[] = [];
  const server = createServer((request, response) => {
    void json(request).then((body) => {
      const { resourceSpans } = body as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] };
      spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

const CLIENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

describe('traces', () => {
  it('go from the client over the request and the task, through PostgreSQL, to the step', async () => {
    const collector = await openCollector();
    const telemetry = await openTelemetry({ OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/` }, quietLog);
    const database = await postgres.open();
    const app = Fastify();
    registerTracing(app, telemetry);
    app.get('/healthz', async () => 'ok');
    app.post('/jobs/:id', async (request) => {
      const results = JSON.stringify({ inspect: stepResult({ kind: 'inspect', layer: null }, 1) });
      const labels = { behave: 'given', results };
      return createJob(database, { labels, traceparent: request.span?.traceparent ?? null });
    });
    await app.inject('/healthz');
    const { id } = (await app.inject({ method: 'POST', url: '/jobs/x', headers: { traceparent: CLIENT } })).json<{
      id: string;
    }>();
    const directory = await mkdtemp(join(tmpdir(), 'sparank-telemetry-'));
    const rig = openRig(database, await LocalStorage.open(join(directory, 'storage')), directory);
    await rig.runNext({ telemetry });
    await rig.close();
    await app.close();
    await telemetry.close();
    await collector.close();
    await rm(directory, { recursive: true, force: true });

    const byName = new Map(collector.spans.map((span) => [span.name, span]));
    expect([...byName.keys()].sort()).toEqual(['POST /jobs/:id', 'step inspect', 'task inspect']);
    expect(new Set(collector.spans.map(({ traceId }) => traceId))).toEqual(new Set([CLIENT.split('-')[1]]));
    const parents = ['POST /jobs/:id', 'task inspect', 'step inspect'].map((name) => byName.get(name)?.parentSpanId);
    expect(parents).toEqual([
      CLIENT.split('-')[2],
      byName.get('POST /jobs/:id')?.spanId,
      byName.get('task inspect')?.spanId,
    ]);
    const attributes = Object.fromEntries(
      (byName.get('task inspect')?.attributes ?? []).map(({ key, value }) => [key, Object.values(value)[0]]),
    );
    expect(attributes).toMatchObject({ 'sparank.job_id': id, 'sparank.attempt': 1, 'sparank.outcome': 'succeeded' });
  });

  it('are nothing at all without an endpoint', async () => {
    expect(await openTelemetry({}, quietLog)).toBe(NO_TELEMETRY);
    expect(NO_TELEMETRY.start('x').traceparent).toBeNull();
  });

  it('take no header that is no trace context', () => {
    expect(readTraceparent(CLIENT)).toMatchObject({ traceFlags: 1, isRemote: true });
    for (const text of [
      undefined,
      null,
      '',
      'nonsense',
      `${CLIENT}-more`,
      CLIENT.replace('00-', 'ff-'),
      `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
      `00-0af7651916cd43dd8448eb211c80319c-${'0'.repeat(16)}-01`,
    ]) {
      expect(readTraceparent(text), String(text)).toBeNull();
    }
  });
});
