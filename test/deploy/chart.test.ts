import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Schema from 'typebox/schema';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { describeSettings } from '../../src/config/index.js';

/** The chart as files; test/deploy/chart-rendered.test.ts has what Helm makes of them. */
const CHART = fileURLToPath(new URL('../../deploy/helm/sparank/', import.meta.url));
const read = (name: string) => readFileSync(join(CHART, name), 'utf8');
const templates = readdirSync(join(CHART, 'templates')).map((name) => ({ name, text: read(`templates/${name}`) }));

type Values = Record<string, unknown>;
const values = parse(read('values.yaml')) as Values;
const schema = JSON.parse(read('values.schema.json')) as object;
const isMap = (value: unknown): value is Values => typeof value === 'object' && value !== null && !Array.isArray(value);
/** As Helm merges: maps by key, anything else as a whole. */
function merged(base: Values, over: Values): Values {
  const result: Values = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const old = result[key];
    result[key] = isMap(old) && isMap(value) ? merged(old, value) : value;
  }
  return result;
}
const accepts = (over: Values) => Schema.Check(schema, merged(values, over));
const at = (path: string) =>
  path.split('.').reduce<unknown>((value, key) => (isMap(value) ? value[key] : undefined), values);

/** Maps whose keys are the user's. */
const FREE =
  /(^|\.)(resources|annotations|podAnnotations|labels|settings|nodeSelector|affinity)$|^workers\.|^workerDefaults\.image$/;
const leaves = (value: unknown, path = ''): string[] =>
  isMap(value) && !FREE.test(path)
    ? Object.entries(value).flatMap(([key, inner]) => leaves(inner, path === '' ? key : `${path}.${key}`))
    : [path];

describe('the values of the Helm chart', () => {
  test('fit their schema as they are, and with what operators change', () => {
    expect(accepts({})).toBe(true);
    for (const over of [
      { settings: { MAX_UPLOAD_BYTES: '1000000000', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' } },
      { workers: { gpu: { enabled: true, class: 'h200', autoscaling: { enabled: true } }, cpu: { replicas: 40 } } },
      { workers: { big: { resources: { limits: { cpu: 16, memory: '64Gi' } }, settings: { THREADS: '8' } } } },
      { networkPolicy: { egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }] } },
      { ingress: { enabled: true, host: 'a.example', tlsSecret: 'tls', annotations: { more: 'yes' } } },
    ])
      expect(accepts(over), JSON.stringify(over)).toBe(true);
  });

  test('are refused when they are misspelt, of another type, or would be silently something else', () => {
    for (const over of [
      { api: { replica: 3 } },
      { workers: { cpu: { engine: 'metal' } } },
      { workers: { CPU: {} } },
      { settings: { MAX_UPLOAD_BYTES: 8589934592 } },
      { settings: { DATABASE_URL: 'postgresql://u:secret@db/sparank' } },
      { settings: { ENGINE: 'tensorflow' } },
      // An empty list of sources lets everybody in.
      { networkPolicy: { metricsFrom: [] } },
      { existingSecret: '' },
    ])
      expect(accepts(over), JSON.stringify(over)).toBe(false);
  });

  test('are read by a template, each of them, and templates read no others', () => {
    const text = templates.map((one) => one.text).join('\n');
    const used = [...text.matchAll(/\$?\.Values\.([\w.]+)/g)].map(([, path = '']) => path);
    expect(used.length).toBeGreaterThan(20);
    for (const path of used) expect(at(path), path).toBeDefined();
    const ofWorkers = [...text.matchAll(/\$worker\.([\w.]+)|\.worker\.([\w.]+)/g)].map(
      ([, a, b]) => `workerDefaults.${a ?? b ?? ''}`,
    );
    for (const path of ofWorkers) expect(at(path), path).toBeDefined();
    // `with` and `include` take a map along: its keys are read as `.key`.
    const named = (path: string) => {
      const [last = ''] = path.split('.').slice(-1);
      return (
        [...used, ...ofWorkers].some((one) => one === path) || new RegExp(`[ (]\\$?(image)?\\.${last}\\b`).test(text)
      );
    };
    const unread = leaves(values).filter((path) => !path.startsWith('workers.') && !named(path));
    expect(unread).toEqual([]);
  });

  test('stand in the README with their defaults, and no others', () => {
    const rows = [...read('README.md').matchAll(/^\| `([\w.]+)`\s+\| `(.*?)`\s+\| (.+?)\s*\|$/gm)];
    const documented = Object.fromEntries(rows.map(([, path = '', shown = '']) => [path, shown]));
    const shown = leaves(values).map((path) => [path, JSON.stringify(at(path))]);
    expect(documented).toEqual(Object.fromEntries(shown));
    for (const [, path, , meaning] of rows) expect(meaning, path).toMatch(/\w{3}/);
  });
});

describe('the templates of the Helm chart', () => {
  test('set settings that there are', () => {
    const known = new Set(describeSettings().map(({ name }) => name));
    const set = templates.flatMap(({ text }) =>
      [...text.matchAll(/- name: ([A-Z][A-Z0-9_]+)$/gm)].map(([, name = '']) => name),
    );
    expect(set).toContain('THREADS');
    expect(set.filter((name) => !known.has(name))).toEqual([]);
  });

  test.each(templates)('$name closes what it opens, and includes what is defined', ({ text }) => {
    const actions = [...text.matchAll(/\{\{-?\s*(\/\*|\w+)/g)].map(([, word]) => word);
    const count = (...words: string[]) => actions.filter((word) => words.includes(word ?? '')).length;
    expect(count('end')).toBe(count('if', 'range', 'with', 'define'));
    expect(text.split('{{').length).toBe(text.split('}}').length);
    const defined = templates.flatMap((one) => [...one.text.matchAll(/define "([\w.]+)"/g)].map(([, name]) => name));
    for (const [, name] of text.matchAll(/include "([\w.]+)"/g)) expect(defined).toContain(name);
  });
});
