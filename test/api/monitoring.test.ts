import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { startService, type TestService } from './support/service.js';

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url));
const read = (path: string) => readFileSync(join(DEPLOY, path), 'utf8');

/** Every PromQL expression of the files: rules, board, what scales workers. */
function expressions(): { where: string; query: string }[] {
  const found: { where: string; query: string }[] = [];
  const collect = (value: unknown, where: string): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      if ((key === 'expr' || key === 'query') && typeof inner === 'string' && inner.includes('sparank_'))
        found.push({ where, query: inner });
      else collect(inner, where);
    }
  };
  for (const path of readdirSync(DEPLOY, { recursive: true, encoding: 'utf8' })) {
    if (path.endsWith('.json')) collect(JSON.parse(read(path)), path);
    else if (path.endsWith('.yaml') && !path.includes('templates'))
      for (const document of parseAllDocuments(read(path))) collect(document.toJS(), path);
  }
  // The chart's own query is a template.
  const [, own] = /^max\((sum by .*)\) or vector/m.exec(read('helm/sparank/templates/_helpers.tpl')) ?? [];
  const plain = (own ?? '').replaceAll(/\{\{ \$device \| quote \}\}.*?\{\{ end \}\}/g, '"cpu", class="x"');
  return [...found, { where: 'helm/sparank/templates/_helpers.tpl', query: plain }];
}

describe('rules, board and autoscaling', () => {
  let postgres: TestPostgres;
  let service: TestService;
  /** Labels by name of metric, as the service has registered them. */
  let known: Map<string, Set<string>>;
  beforeAll(async () => {
    postgres = await startPostgres();
    service = await startService(postgres);
    known = new Map();
    for (const metric of service.metrics.registry.getMetricsAsArray()) {
      const { labelNames = [] } = metric as unknown as { labelNames?: string[] };
      const suffixes = metric.type.toString() === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      for (const suffix of suffixes) known.set(metric.name + suffix, new Set(labelNames));
    }
  });
  afterAll(async () => {
    await service.close();
    await postgres.stop();
  });

  test('are all found', () => {
    const where = new Set(expressions().map((one) => one.where));
    expect([...where].sort()).toEqual(
      expect.arrayContaining([
        'helm/sparank/files/alerts.yaml',
        'helm/sparank/files/grafana.json',
        'helm/sparank/templates/_helpers.tpl',
        'kubernetes/components/autoscaling/scaled-object.yaml',
        'kubernetes/components/monitoring/prometheus-rule.yaml',
      ]),
    );
    expect(known.size).toBeGreaterThan(15);
  });

  test.each(expressions())('$where: $query asks for metrics and labels that the service has', ({ query }) => {
    const metrics = [...query.matchAll(/(sparank_\w+)(?:\{([^}]*)\})?/g)];
    expect(metrics).not.toEqual([]);
    const grouping = new Set(['instance', 'le']);
    for (const [, name = '', selector = ''] of metrics) {
      const labels = known.get(name);
      if (labels === undefined) throw new Error(`there is no metric ${name}`);
      for (const label of labels) grouping.add(label);
      for (const [, label] of selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)) expect(labels, name).toContain(label);
    }
    const by = [...query.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) =>
      list.split(',').map((one) => one.trim()),
    );
    for (const label of by) expect(grouping).toContain(label);
  });
});
