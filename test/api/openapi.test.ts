import { createConfig, lintFromString } from '@redocly/openapi-core';
import spectralCore, { type RulesetDefinition } from '@stoplight/spectral-core';
import spectralRulesets from '@stoplight/spectral-rulesets';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { startService, type TestService } from './support/service.js';

interface Operation {
  operationId?: string;
  tags?: string[];
  parameters?: { in: string; name: string; required?: boolean }[];
  requestBody?: { content: Record<string, { schema?: unknown }> };
  responses: Record<string, { description: string; headers?: object; content?: Record<string, unknown> }>;
  'x-scopes': string[];
}
interface Schema {
  required?: string[];
  properties?: Record<string, unknown>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

let postgres: TestPostgres;
let service: TestService;
let text: string;
let document: Document;
let operations: { name: string; operation: Operation }[];
beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres);
  text = (await service.call('GET', '/openapi.json', { key: null })).body;
  document = JSON.parse(text) as Document;
  operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  );
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

/** `npm run openapi` writes it. */
test('docs/openapi.json is what the service serves', async () => {
  await expect(`${JSON.stringify(document, null, 2)}\n`).toMatchFileSnapshot('../../docs/openapi.json');
});

test('redocly finds nothing, the rules that only advise included', async () => {
  const config = await createConfig({
    extends: ['recommended'],
  });
  const problems = await lintFromString({ source: text, config });
  expect(problems.map(({ ruleId, message, location }) => [ruleId, message, location[0]?.pointer])).toEqual([]);
});

test('spectral finds nothing, the rules that only advise included', async () => {
  const spectral = new spectralCore.Spectral();
  spectral.setRuleset({
    extends: [spectralRulesets.oas as RulesetDefinition],
    rules: {
      // Who runs the service is not known here.
      'info-contact': 'off',
      // A summary says what most calls do.
      'operation-description': 'off',
    },
  });
  const found = await spectral.run(text);
  expect(found.map(({ code, message, path }) => [code, message, path.join('/')])).toEqual([]);
});

test('every call has a name of its own, and says who may call it and how it fails', () => {
  const names = operations.map(({ operation }) => operation.operationId);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z]+([A-Z][a-z]+)*$/);
  for (const { name, operation } of operations) {
    const statuses = Object.keys(operation.responses);
    const isOpen = operation['x-scopes'].length === 0;
    expect(statuses, name).toEqual(
      expect.arrayContaining(['400', '500', '503', ...(isOpen ? [] : ['401', '403', '429'])]),
    );
    if (name.includes('{id}')) expect(statuses, name).toContain('404');
    if (operation.requestBody !== undefined) expect(statuses, name).toEqual(expect.arrayContaining(['413', '415']));
    for (const [status, { description, content }] of Object.entries(operation.responses)) {
      expect(description, name).not.toMatch(/default response/i);
      if (Number(status) >= 400 && name !== 'GET /readyz')
        expect(Object.keys(content ?? {}), `${name} ${status}`).toEqual(['application/problem+json']);
    }
  }
});

/** Every schema that can be sent, the parts of it included. */
function sentSchemas(value: unknown, seen = new Set<string>()): Schema[] {
  if (Array.isArray(value)) return value.flatMap((item) => sentSchemas(item, seen));
  if (typeof value !== 'object' || value === null) return [];
  const { $ref } = value as { $ref?: unknown };
  if (typeof $ref === 'string') {
    const name = $ref.split('/').at(-1) ?? '';
    if (seen.has(name)) return [];
    return sentSchemas(document.components.schemas[name], seen.add(name));
  }
  return [value as Schema, ...Object.values(value).flatMap((item: unknown) => sentSchemas(item, seen))];
}

test('what has a default may be left out of a request', () => {
  const schemas = operations.flatMap(({ operation }) => sentSchemas(operation.requestBody));
  let defaults = 0;
  for (const { properties = {}, required = [] } of schemas) {
    const filled = Object.entries(properties).filter(([, value]) => Object.hasOwn(value as object, 'default'));
    defaults += filled.length;
    if (Array.isArray(required)) for (const [name] of filled) expect(required).not.toContain(name);
  }
  expect(defaults).toBeGreaterThan(15);
  const queries = operations.flatMap(({ operation }) => operation.parameters ?? []);
  for (const parameter of queries.filter((one) => one.in === 'query')) expect(parameter.required).toBe(false);
  expect(document.components.schemas['Method']?.required).toContain('seed');
});

test('streams, ranges, conditions, labels, forms and files are described', () => {
  const call = (id: string) => {
    const found = operations.find(({ operation }) => operation.operationId === id)?.operation;
    if (found === undefined) throw new Error(`no call ${id}`);
    return found;
  };
  const parameters = (id: string) => call(id).parameters?.map((one) => `${one.in} ${one.name}`) ?? [];
  const headers = (id: string, status: number) => Object.keys(call(id).responses[status]?.headers ?? {});
  expect(Object.keys(call('listJobEvents').responses['200']?.content ?? {})).toContain('text/event-stream');
  expect(parameters('listJobEvents')).toContain('header last-event-id');
  expect(parameters('downloadArtifact')).toEqual(
    expect.arrayContaining(['header range', 'header if-range', 'header if-none-match']),
  );
  expect(Object.keys(call('downloadArtifact').responses)).toEqual(expect.arrayContaining(['206', '302', '304', '416']));
  expect(headers('downloadArtifact', 206)).toContain('Content-Range');
  expect(parameters('getJob')).toEqual(expect.arrayContaining(['header if-none-match', 'header prefer']));
  expect(headers('getJob', 304)).toContain('ETag');
  expect(parameters('listJobs')).toContain('query labels');
  expect(parameters('createJob')).toContain('header idempotency-key');
  expect(Object.keys(call('createJob').requestBody?.content ?? {})).toEqual([
    'application/json',
    'multipart/form-data',
  ]);
  expect(Object.keys(call('createUpload').requestBody?.content ?? {})).toEqual(['application/octet-stream']);
});
