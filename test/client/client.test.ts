import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Sparank, type Artifact, type JobView } from '../../src/client/node/index.js';
import { broken, json, scripted, type Answer } from './http.js';

const job = (change: Partial<JobView> = {}): JobView =>
  ({ id: 'job_1', status: 'queued', artifacts: [], points: [], error: null, ...change }) as unknown as JobView;

let service: Awaited<ReturnType<typeof scripted>>;
const start = async (...answers: Answer[]) => {
  service = await scripted(...answers);
  return new Sparank({ url: service.url, apiKey: 'spk_test' });
};
afterEach(() => service.close());

const SPEC = { model: { upload: 'a' }, calibration: { upload: 'b' }, target: { parameter_ratio: 4 } };

describe('a call', () => {
  test('is made again while the service is busy or away, and a submission under the same key', async () => {
    const sparank = await start(
      json(503, {}, { 'retry-after': '0' }),
      broken(),
      json(502, {}),
      json(409, { code: 'idempotency_in_flight' }),
      json(202, job()),
    );
    expect((await sparank.jobs.submit(SPEC)).id).toBe('job_1');
    const keys = service.seen.map(({ headers }) => headers['idempotency-key']);
    expect(keys).toHaveLength(5);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set(service.seen.map(({ body }) => body))).toEqual(new Set([JSON.stringify(SPEC)]));
  });

  test('that may have been done, and may not be done twice, is not made again', async () => {
    const sparank = await start(broken());
    await expect(sparank.jobs.retry('job_1')).rejects.toMatchObject({ name: 'ConnectionError', code: 'unavailable' });
    expect(service.seen).toHaveLength(1);
  });

  test('that is refused has the code, the pointer and the request in its error', async () => {
    const errors = [{ pointer: '/target/parameter_ratio', detail: 'must be above 1' }];
    const sparank = await start(json(422, { code: 'invalid_spec', detail: 'no', errors, request_id: 'r1' }));
    await expect(sparank.jobs.submit(SPEC)).rejects.toMatchObject({
      name: 'ServiceError',
      status: 422,
      code: 'invalid_spec',
      pointer: '/target/parameter_ratio',
      faults: errors,
      requestId: 'r1',
      message: 'no',
    });
    expect(service.seen).toHaveLength(1);
  });

  test('gives up when its patience is over, and tells of every further try', async () => {
    await start(json(503, { code: 'unavailable' }, { 'retry-after': '2' }));
    const tries: number[] = [];
    const sparank = new Sparank({
      url: service.url,
      patienceSeconds: 1,
      onRetry: ({ attempt }) => tries.push(attempt),
    });
    await expect(sparank.jobs.get('job_1')).rejects.toMatchObject({ status: 503, retryAfterSeconds: 2 });
    expect([service.seen.length, tries]).toEqual([1, []]);
  });

  test('ends with its signal, also while it waits for the next try', async () => {
    await start(json(503, {}, { 'retry-after': '30' }));
    const controller = new AbortController();
    const onRetry = () => void setImmediate(() => controller.abort(new Error('enough')));
    const asked = new Sparank({ url: service.url, onRetry }).jobs.get('job_1', controller.signal);
    await expect(asked).rejects.toThrow('enough');
  });

  test('by its path has types, and throws the same errors', async () => {
    const sparank = await start(json(200, { workers: [] }), json(404, { code: 'not_found' }));
    expect((await sparank.api.GET('/pool')).data?.workers).toEqual([]);
    expect(service.seen[0]?.headers.authorization).toBe('Bearer spk_test');
    await expect(sparank.api.GET('/jobs/{id}', { params: { path: { id: 'x' } } })).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});

describe('a list', () => {
  test('goes through its pages, with labels and states as filters', async () => {
    const page = (ids: string[], next: string | null) =>
      json(200, { data: ids.map((id) => job({ id })), has_more: next !== null, next });
    const sparank = await start(page(['job_1', 'job_2'], 'job_2'), page(['job_3'], null));
    const ids: string[] = [];
    for await (const { id } of sparank.jobs.list({ status: ['queued', 'running'], labels: { run: '7' } })) ids.push(id);
    expect(ids).toEqual(['job_1', 'job_2', 'job_3']);
    expect(service.seen.map(({ url }) => url)).toEqual([
      '/jobs?status=queued%2Crunning&label.run=7',
      '/jobs?after=job_2&status=queued%2Crunning&label.run=7',
    ]);
  });
});

describe('events', () => {
  const event = (id: number) => `id: ${String(id)}\nevent: x\ndata: {"id":"${String(id)}","type":"x"}\n\n`;
  const stream =
    (...ids: number[]): Answer =>
    (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(': hello\n\n');
      response.write(ids.map(event).join(''), () => setImmediate(() => response.destroy()));
    };

  test('go on where the connection broke, each once, and end with the job', async () => {
    const sparank = await start(stream(1, 2), broken(), stream(3), (response) => response.writeHead(204).end());
    const ids: string[] = [];
    for await (const { id } of sparank.jobs.events('job_1')) ids.push(id);
    expect(ids).toEqual(['1', '2', '3']);
    expect(service.seen.map(({ headers }) => headers['last-event-id'])).toEqual(['0', '2', '2', '3']);
  });
});

describe('waiting', () => {
  /** Answers by what is asked for. */
  const routes =
    (events: Answer, views: JobView[]): Answer =>
    (response, request) => {
      if (request.url.endsWith('/events')) {
        events(response, request);
        return;
      }
      const view = views.length > 1 ? views.shift() : views[0];
      json(200, view, { etag: `"${String(views.length)}"` })(response, request);
    };
  const running = job({ status: 'running' });
  const done = job({ status: 'succeeded' });

  test('falls back to looking where there is no stream', async () => {
    const refused = json(429, { code: 'too_many_requests' }, { 'retry-after': '30' });
    const sparank = await start(routes(refused, [running, running, done]));
    const seen: string[] = [];
    const ended = await sparank.jobs.wait('job_1', { onProgress: ({ status }) => void seen.push(status) });
    expect(ended.status).toBe('succeeded');
    expect(seen).toEqual(['running', 'running', 'succeeded']);
    expect(service.seen.filter(({ headers }) => headers.prefer === 'wait=5')).toHaveLength(2);
  });

  test('ends at once with its signal', async () => {
    const sparank = await start(routes((response) => response.writeHead(200).flushHeaders(), [running]));
    const controller = new AbortController();
    const waited = sparank.jobs.wait('job_1', {
      signal: controller.signal,
      onProgress: () => void setImmediate(() => controller.abort(new Error('enough'))),
    });
    await expect(waited).rejects.toThrow('enough');
  });

  test('of a job that fails throws its code and layer', async () => {
    const error = { code: 'numerical_breakdown', detail: 'NaN', origin: 'input' as const, layer: 'conv1' };
    const sparank = await start(
      json(200, running),
      routes((response) => response.writeHead(204).end(), [job({ status: 'failed', error })]),
    );
    const found = await sparank.jobs.get('job_1');
    await expect(found.wait()).rejects.toMatchObject({ code: 'numerical_breakdown', layer: 'conv1', jobId: 'job_1' });
    expect([found.status, found.passed]).toEqual(['failed', false]);
  });
});

describe('a download', () => {
  const content = Buffer.from('abcdefghij'.repeat(100));
  const artifact = {
    name: 'model.onnx',
    url: '/jobs/job_1/artifacts/model.onnx',
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
  } as Artifact;
  const rest =
    (text = content): Answer =>
    (response, { headers }) => {
      const from = Number(/bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
      response.writeHead(from > 0 ? 206 : 200).end(text.subarray(from));
    };
  let directory: string;
  let path: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sparank-download-'));
    path = join(directory, 'model.onnx');
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));
  const part = () => `${path}.${artifact.sha256.slice(0, 16)}.part`;

  test('goes on where the connection broke', async () => {
    const sparank = await start(broken(content.subarray(0, 300)), rest());
    await sparank.jobs.save(artifact, path);
    expect(await readFile(path)).toEqual(content);
    expect(service.seen.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=300-']);
    expect(await readdir(directory)).toEqual(['model.onnx']);
  });

  test('goes on with what an earlier process left', async () => {
    await writeFile(part(), content.subarray(0, 500));
    const sparank = await start(rest());
    await sparank.jobs.save(artifact, path);
    expect(await readFile(path)).toEqual(content);
    expect(service.seen[0]?.headers.range).toBe('bytes=500-');
  });

  test('begins again when what was left is damaged', async () => {
    await writeFile(part(), Buffer.alloc(500, 'x'));
    const sparank = await start(rest());
    await sparank.jobs.save(artifact, path);
    expect(await readFile(path)).toEqual(content);
  });

  test('passes over the beginning where ranges are not known', async () => {
    await writeFile(part(), content.subarray(0, 500));
    const sparank = await start((response) => response.writeHead(200).end(content));
    await sparank.jobs.save(artifact, path);
    expect(await readFile(path)).toEqual(content);
  });

  test('that is damaged leaves nothing', async () => {
    const sparank = await start(rest(Buffer.alloc(content.length, 'x')));
    await expect(sparank.jobs.save(artifact, path)).rejects.toMatchObject({ code: 'damaged' });
    expect(await readdir(directory)).toEqual([]);
    await expect(sparank.jobs.content(artifact)).rejects.toMatchObject({ code: 'damaged' });
  });
});
