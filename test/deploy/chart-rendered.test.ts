import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  containerOf,
  expectCareful,
  expectEgress,
  expectSelected,
  expectSettings,
  readResources,
} from './manifests.js';

/** What Helm makes of the chart. `SPARANK_HELM` names it where it is not on the path. */
const HELM = process.env['SPARANK_HELM'] ?? 'helm';
const hasHelm = spawnSync(HELM, ['version']).status === 0;
if (!hasHelm) console.warn('no Helm: the chart is not rendered');
const CHART = fileURLToPath(new URL('../../deploy/helm/sparank/', import.meta.url));

const EVERYTHING = parse(readFileSync(new URL('everything.yaml', import.meta.url), 'utf8')) as object;
const withValues = (values: object) => ({ encoding: 'utf8', input: JSON.stringify(values) }) as const;
const render = (release: string, values: object = {}) =>
  readResources(
    execFileSync(HELM, ['template', release, CHART, '--kube-version', '1.31.0', '-f', '-'], withValues(values)),
    'helm template',
  );

describe.skipIf(!hasHelm)('the chart as Helm renders it', () => {
  test('passes its linter, as it is and with everything', () => {
    for (const values of [{}, EVERYTHING]) {
      const { status, stdout } = spawnSync(HELM, ['lint', '--strict', CHART, '-f', '-'], withValues(values));
      expect(status, stdout).toBe(0);
    }
  });

  test.each([
    ['as it is', {}],
    ['with everything', EVERYTHING],
  ])('%s: pods that run safely, with settings that there are, each selected once', (_, values) => {
    const resources = render('trial', values);
    const deployments = resources.filter(({ kind }) => kind === 'Deployment');
    expect(deployments.length).toBeGreaterThanOrEqual(2);
    for (const one of deployments) {
      expectSettings(one);
      expectCareful(one);
    }
    expectSelected(resources);
    expectEgress(resources);
    const ids = resources.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('scales each kind of worker by its own tasks, and leaves their number to the autoscaler', () => {
    const resources = render('sparank', EVERYTHING);
    const queries = resources
      .filter(({ kind }) => kind === 'ScaledObject')
      .map(({ metadata, spec }) => [metadata.name, spec.triggers[0]?.metadata.query]);
    const depth = (labels: string) => `max(sum by (instance) (sparank_class_tasks{${labels}})) or vector(0)`;
    expect(Object.fromEntries(queries)).toEqual({
      'sparank-worker-cpu': depth('device="cpu"'),
      'sparank-worker-gpu': depth('device="gpu"'),
      'sparank-worker-labelled': depth('device="cpu", class="h200"'),
    });
    const workers = resources.filter(({ kind, metadata }) => kind === 'Deployment' && /worker/.test(metadata.name));
    expect(workers.map(({ spec }) => spec.replicas)).toEqual([undefined, undefined, undefined]);
  });

  test('hands rules and board on as they are, and lets uploads and event streams through', () => {
    const resources = render('sparank', EVERYTHING);
    const one = (kind: string) => resources.filter((resource) => resource.kind === kind);
    const file = (name: string) => readFileSync(join(CHART, 'files', name), 'utf8');
    expect(one('PrometheusRule')[0]?.spec).toEqual(parse(file('alerts.yaml')));
    expect(JSON.parse(one('ConfigMap')[0]?.data?.['sparank.json'] ?? '')).toEqual(JSON.parse(file('grafana.json')));
    const annotations = one('Ingress')[0]?.metadata.annotations ?? {};
    expect(annotations['nginx.ingress.kubernetes.io/proxy-body-size']).toBe('0');
    expect(Number(annotations['nginx.ingress.kubernetes.io/proxy-read-timeout'])).toBeGreaterThanOrEqual(3600);
  });

  test('gives settings on, those of one kind of worker to it alone', () => {
    const resources = render('x', {
      settings: { LOG_LEVEL: 'warn' },
      workers: { cpu: { settings: { THREADS: '3' } } },
      image: { tag: '1.2.3' },
    });
    const [api, worker] = resources.filter(({ kind }) => kind === 'Deployment').map(containerOf);
    const value = (container: typeof api, name: string) =>
      container?.env.find((variable) => variable.name === name)?.value;
    expect([value(api, 'LOG_LEVEL'), value(worker, 'LOG_LEVEL')]).toEqual(['warn', 'warn']);
    expect([value(api, 'THREADS'), value(worker, 'THREADS')]).toEqual([undefined, '3']);
    expect([api?.image, worker?.image]).toEqual(['sparank:1.2.3', 'sparank:1.2.3']);
  });
});
