import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import pino from 'pino';
import { expect, vi } from 'vitest';
import { buildApp } from '../../../src/api/app.js';
import type { CheckSubmission } from '../../../src/api/deps.js';
import { hashKey } from '../../../src/api/plugins/auth.js';
import { readConfig, type Config } from '../../../src/config/index.js';
import { DEFAULT_TEAM, type Scope } from '../../../src/database/records.js';
import type { Database } from '../../../src/database/repositories.js';
import { InputError } from '../../../src/errors/index.js';
import { createMetrics, type Metrics } from '../../../src/observability/metrics.js';
import { decodeModel } from '../../../src/models/ir/codec.js';
import { openQueue } from '../../../src/queue/index.js';
import { LocalStorage } from '../../../src/storage/local-storage.js';
import type { Storage } from '../../../src/storage/storage.js';
import { filesBelow } from '../../support/below.js';
import { quietLog } from '../../support/log.js';
import type { TestPostgres } from '../../support/postgres.js';
import { addTeam } from '../../support/teams.js';

/** Reads the model and says how many nodes it has: small, and real. */
export const countNodes: CheckSubmission = async ({ model }) => {
  const bytes = await readFile(model);
  try {
    const nodes = decodeModel(bytes).graph?.node?.length ?? 0;
    if (nodes === 0) throw new Error('no nodes');
    return { estimate: { nodes } };
  } catch (cause) {
    throw new InputError('invalid_model', 'the model is not an ONNX file', {
      faults: [{ pointer: '#file/model', detail: 'is not an ONNX file' }],
      cause,
    });
  }
};

/** How many have begun to watch a job since the call. */
export function watchersOf({ database }: TestService, jobId: string): () => number {
  const subscribe = vi.spyOn(database.notifications, 'subscribe');
  return () => subscribe.mock.calls.filter(([topic]) => topic === jobId).length;
}

export interface TestService {
  app: FastifyInstance;
  database: Database;
  storage: Storage;
  metrics: Metrics;
  config: Config;
  /** Header values by who calls. */
  keys: { all: string; reader: string; writer: string; stranger: string };
  /** A call with the key of `all`, unless told otherwise. */
  call(
    method: InjectOptions['method'],
    url: string,
    options?: Partial<InjectOptions> & { key?: string | null },
  ): Promise<LightMyRequestResponse>;
  /** Every file below the data directory. */
  files(): Promise<string[]>;
  /** Log lines at `error` and above. */
  errors: Record<string, unknown>[];
  /** All of them from `info` on. */
  lines: Record<string, unknown>[];
  close(): Promise<void>;
}

export interface TestServiceOptions {
  settings?: Record<string, string>;
  checkSubmission?: CheckSubmission;
  storage?: (local: Storage) => Storage;
  /** Another process with the same database. */
  beside?: TestService;
}

async function addKey(database: Database, teamId: string, scopes: Scope[]): Promise<string> {
  const key = `spk_test_${randomUUID()}`;
  await database.keys.create(teamId, { hash: hashKey(key), prefix: key.slice(0, 8), name: 'test', scopes });
  return `Bearer ${key}`;
}

/** The whole interface over a database of its own, local storage and the queue in PostgreSQL. */
export async function startService(postgres: TestPostgres, options: TestServiceOptions = {}): Promise<TestService> {
  const directory = await mkdtemp(join(tmpdir(), 'sparank-api-'));
  const config = readConfig({ DATA_DIR: directory, ...options.settings });
  const database = await (options.beside === undefined
    ? postgres.open(config)
    : postgres.openAgain(options.beside.database, config));
  const local = await LocalStorage.open(join(directory, 'storage'));
  const storage = options.storage?.(local) ?? local;
  const queue = openQueue({}, database.url, quietLog);
  const errors: Record<string, unknown>[] = [];
  const lines: Record<string, unknown>[] = [];
  const ERROR = 50;
  const logger = pino(
    { level: 'info' },
    {
      write: (text: string) => {
        const line = JSON.parse(text) as Record<string, unknown>;
        lines.push(line);
        if (Number(line['level']) >= ERROR) errors.push(line);
      },
    },
  );
  const { checkSubmission } = options;
  const metrics = createMetrics();
  const app = await buildApp({
    config,
    database,
    queue,
    storage,
    logger,
    metrics,
    ...(checkSubmission === undefined ? {} : { checkSubmission }),
  });
  await app.ready();
  if (options.beside === undefined) await addTeam(database.url, 'team_other');
  const keys = options.beside?.keys ?? {
    all: await addKey(database, DEFAULT_TEAM, ['jobs:read', 'jobs:write', 'admin']),
    reader: await addKey(database, DEFAULT_TEAM, ['jobs:read']),
    writer: await addKey(database, DEFAULT_TEAM, ['jobs:write']),
    stranger: await addKey(database, 'team_other', ['jobs:read', 'jobs:write']),
  };
  return {
    app,
    database,
    storage,
    metrics,
    config,
    keys,
    errors,
    lines,
    call: (method, url, { key = keys.all, headers, ...rest } = {}) =>
      app.inject({
        ...(method === undefined ? {} : { method }),
        url,
        headers: { ...(key === null ? {} : { authorization: key }), ...headers },
        ...rest,
      }),
    files: () => filesBelow(directory),
    async close() {
      await app.close();
      await queue.close();
      await rm(directory, { recursive: true, force: true });
      expect(errors.filter((line) => line['msg'] === 'an answer does not fit its schema')).toEqual([]);
    },
  };
}

export const sha256 = (content: Buffer | string): string => createHash('sha256').update(content).digest('hex');

/** Sends a file and returns its id. */
export async function upload(service: TestService, content: Buffer | string, filename = 'file.bin'): Promise<string> {
  const response = await service.call('POST', `/uploads?filename=${filename}`, {
    payload: content,
    headers: { 'content-type': 'application/octet-stream' },
  });
  expect(response.statusCode, response.body).toBe(201);
  return response.json<{ id: string }>().id;
}

/** Submits a job with two small uploads. */
export async function submit(service: TestService, change: object = {}): Promise<string> {
  const response = await service.call('POST', '/jobs', {
    payload: {
      model: { upload: await upload(service, 'a model', 'model.onnx') },
      calibration: { upload: await upload(service, 'samples', 'samples.npz') },
      target: { parameter_ratio: 4 },
      ...change,
    },
  });
  expect(response.statusCode, response.body).toBe(202);
  return response.json<{ id: string }>().id;
}

/** A problem with this status and code, complete in every field. */
export function expectProblem(
  response: LightMyRequestResponse,
  status: number,
  code: string,
): { errors?: { pointer: string; detail: string }[]; detail: string } {
  expect([response.statusCode, response.headers['content-type']], response.body).toEqual([
    status,
    'application/problem+json',
  ]);
  const body = response.json<Record<string, unknown>>();
  expect(body).toMatchObject({
    status,
    code,
    type: `urn:sparank:error:${code}`,
    request_id: response.headers['x-request-id'],
  });
  expect(typeof body['title']).toBe('string');
  return body as { detail: string };
}
