import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import {
  containerOf,
  expectCareful,
  expectEgress,
  expectSelected,
  expectSettings,
  readResources,
} from './manifests.js';

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url));
const KUBERNETES = join(DEPLOY, 'kubernetes');

const files = readdirSync(KUBERNETES, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.yaml'));
const resources = files.flatMap((file) =>
  readResources(readFileSync(join(KUBERNETES, file), 'utf8'), file).map((resource) => ({ ...resource, file })),
);
const ofKind = (kind: string) => resources.filter((resource) => resource.kind === kind);
const deployments = ofKind('Deployment');
const config = ofKind('ConfigMap')[0]?.data ?? {};

describe('the Kubernetes manifests', () => {
  test('are all there: the API, workers, and every file is part of the whole or an example', () => {
    expect(deployments.map(({ metadata }) => metadata.name).sort()).toEqual([
      'sparank-api',
      'sparank-worker',
      'sparank-worker-gpu',
    ]);
    const listed = ['Kustomization', 'Component'].flatMap((kind) =>
      ofKind(kind).flatMap(({ file, resources: names = [] }) => names.map((name) => join(file, '..', name))),
    );
    for (const file of listed) expect(existsSync(join(KUBERNETES, file)), file).toBe(true);
    const others = files.filter((file) => !listed.includes(file) && !file.endsWith('kustomization.yaml'));
    expect(others).toEqual(['secret.example.yaml']);
    const named = resources.filter((one) => !['Kustomization', 'Component'].includes(one.kind));
    const ids = named.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test.each(deployments)('$metadata.name sets settings that there are, to values that are taken', (deployment) => {
    expectSettings(deployment, config);
    const one = containerOf(deployment);
    expect(one.envFrom).toEqual([{ configMapRef: { name: 'sparank-config' } }]);
    const secrets = Object.keys(ofKind('Secret')[0]?.stringData ?? {});
    for (const { name, valueFrom } of one.env)
      if (valueFrom?.secretKeyRef !== undefined) expect(secrets).toContain(name);
  });

  test.each(deployments)(
    '$metadata.name has time to stop, probes that exist, limits, and a file system to write on',
    (deployment) => {
      expectCareful(deployment, config);
    },
  );

  test('select pods that there are: services, disruption budgets, network policies, scaling and monitoring', () => {
    expectSelected(resources);
  });

  test('scale each kind of worker by its own tasks', () => {
    const queries = ofKind('ScaledObject').map(({ spec }) => spec.triggers[0]?.metadata.query ?? '');
    expect(queries.map((query) => /sparank_class_tasks\{device="(\w+)"\}/.exec(query)?.[1]).sort()).toEqual([
      'cpu',
      'gpu',
    ]);
    expect(new Set(ofKind('ScaledObject').map(({ spec }) => spec.scaleTargetRef.name)).size).toBe(2);
  });

  test('let PostgreSQL, Redis, stores and collectors through on any port, and nothing to the metadata of the cloud', () => {
    expectEgress(resources);
  });

  test('have the alerts and the Ingress of the chart', () => {
    const chart = (path: string) => parse(readFileSync(join(DEPLOY, 'helm/sparank', path), 'utf8')) as object;
    expect(ofKind('PrometheusRule')[0]?.spec).toEqual(chart('files/alerts.yaml'));
    expect({ ingress: { annotations: ofKind('Ingress')[0]?.metadata.annotations } }).toMatchObject({
      ingress: { annotations: (chart('values.yaml') as { ingress: { annotations: object } }).ingress.annotations },
    });
  });
});

test('every alert is documented', () => {
  const rules = readFileSync(join(DEPLOY, 'helm/sparank/files/alerts.yaml'), 'utf8');
  const names = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name);
  const [, section = ''] = readFileSync(join(DEPLOY, '../docs/operations.md'), 'utf8').split('## Alerts and board');
  const [documented = ''] = section.split('\n## ');
  expect([...documented.matchAll(/`(Sparank\w+)`/g)].map(([, name]) => name).sort()).toEqual(names.sort());
});
