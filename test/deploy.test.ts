import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { describeSettings, readConfig } from '../src/config/index.js';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const KUBERNETES = join(ROOT, 'deploy/kubernetes');
const SETTINGS = new Set(describeSettings().map(({ name }) => name));
/** Beyond SHUTDOWN_SECONDS: handing back, signing off, closing. */
const AFTERWARDS_SECONDS = 8;

interface EnvVar {
  name: string;
  value?: string;
  valueFrom?: { secretKeyRef: { name: string; key: string } };
}
interface Probe {
  httpGet: { path: string; port: string };
}
interface Container {
  image: string;
  args: string[];
  env: EnvVar[];
  envFrom: { configMapRef: { name: string } }[];
  ports: { name: string; containerPort: number }[];
  startupProbe: Probe;
  livenessProbe: Probe;
  readinessProbe?: Probe;
  lifecycle?: { preStop: { exec: { command: string[] } } };
  resources: { requests: Record<string, string>; limits: Record<string, string> };
  securityContext: { readOnlyRootFilesystem: boolean };
  volumeMounts: { name: string; mountPath: string }[];
}
interface Labels {
  matchLabels: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values: string[] }[];
}
interface Resource {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
  data?: Record<string, string>;
  stringData?: Record<string, string>;
  resources?: string[];
  spec: {
    replicas: number;
    selector: Labels & Record<string, string>;
    podSelector: Labels;
    scaleTargetRef: { name: string };
    triggers: { metadata: { query: string } }[];
    podMetricsEndpoints: { port: string; path: string }[];
    ports: { targetPort: string }[];
    egress: { to?: { ipBlock: { except: string[] } }[] }[];
    template: {
      metadata: { labels: Record<string, string> };
      spec: {
        terminationGracePeriodSeconds: number;
        containers: [Container];
        volumes: { name: string }[];
        securityContext: { runAsNonRoot: boolean };
      };
    };
  };
}

const files = readdirSync(KUBERNETES, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.yaml'));
const resources = files.flatMap((file) =>
  parseAllDocuments(readFileSync(join(KUBERNETES, file), 'utf8')).map((document) => {
    expect(document.errors, file).toEqual([]);
    return { file, ...(document.toJS() as Resource) };
  }),
);
const ofKind = (kind: string) => resources.filter((resource) => resource.kind === kind);
const deployments = ofKind('Deployment');
const podLabels = deployments.map(({ spec }) => spec.template.metadata.labels);
const container = ({ spec }: Resource): Container => spec.template.spec.containers[0];
const config = ofKind('ConfigMap')[0]?.data ?? {};
/** What a container's process sees. */
const environment = (one: Container): Record<string, string> => ({
  ...config,
  ...Object.fromEntries(one.env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]]))),
});
const selects = ({ matchLabels, matchExpressions = [] }: Labels, labels: Record<string, string>) =>
  Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
  matchExpressions.every(({ key, values }) => values.includes(labels[key] ?? ''));

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
    const ids = resources.filter(({ metadata }) => metadata).map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test.each(deployments)('$metadata.name sets settings that there are, to values that are taken', (deployment) => {
    const one = container(deployment);
    const names = [...one.env.map(({ name }) => name), ...Object.keys(config)];
    expect(names.filter((name) => !SETTINGS.has(name))).toEqual([]);
    expect(() => readConfig(environment(one))).not.toThrow();
    expect(one.envFrom).toEqual([{ configMapRef: { name: 'sparank-config' } }]);
    const secrets = Object.keys(ofKind('Secret')[0]?.stringData ?? {});
    for (const { name, valueFrom } of one.env.filter((variable) => variable.valueFrom !== undefined)) {
      expect(valueFrom?.secretKeyRef).toEqual({ name: 'sparank-secrets', key: name });
      expect(secrets).toContain(name);
    }
    for (const name of ['DATABASE_URL', 'REDIS_URL', 'STORAGE_URL']) {
      expect(one.env.find((variable) => variable.name === name)?.value).toBeUndefined();
    }
  });

  test.each(deployments)(
    '$metadata.name has time to stop, probes that exist, limits, and a file system to write on',
    (deployment) => {
      const one = container(deployment);
      const { terminationGracePeriodSeconds, volumes, securityContext } = deployment.spec.template.spec;
      const sleep = Number(one.lifecycle?.preStop.exec.command[1] ?? 0);
      const needed = readConfig(environment(one)).SHUTDOWN_SECONDS + AFTERWARDS_SECONDS + sleep;
      expect(terminationGracePeriodSeconds).toBeGreaterThan(needed);
      const isApi = one.args[0] === 'start';
      const port = isApi ? 'http' : 'metrics';
      expect(one.ports.map(({ name }) => name)).toEqual([port]);
      const { PORT, METRICS_PORT } = readConfig(environment(one));
      expect(one.ports[0]?.containerPort).toBe(isApi ? PORT : METRICS_PORT);
      for (const probe of [one.startupProbe, one.livenessProbe])
        expect(probe.httpGet).toEqual({ path: '/healthz', port });
      expect(one.readinessProbe?.httpGet).toEqual(isApi ? { path: '/readyz', port } : undefined);
      expect(one.resources.limits['memory']).toBeDefined();
      expect(securityContext.runAsNonRoot).toBe(true);
      expect(one.securityContext.readOnlyRootFilesystem).toBe(true);
      expect(one.volumeMounts.map(({ mountPath }) => mountPath)).toEqual(['/data', '/tmp']);
      expect(volumes.map(({ name }) => name)).toEqual(one.volumeMounts.map(({ name }) => name));
    },
  );

  test('select pods that there are: services, disruption budgets, network policies, scaling and monitoring', () => {
    for (const { spec, metadata } of deployments) {
      expect(selects(spec.selector, spec.template.metadata.labels), metadata.name).toBe(true);
      const budgets = ofKind('PodDisruptionBudget').filter((one) =>
        selects(one.spec.selector, spec.template.metadata.labels),
      );
      expect(budgets, metadata.name).toHaveLength(1);
      const policies = ofKind('NetworkPolicy').filter((one) =>
        selects(one.spec.podSelector, spec.template.metadata.labels),
      );
      expect(policies, metadata.name).toHaveLength(1);
    }
    const [service] = ofKind('Service');
    expect(podLabels.filter((labels) => selects({ matchLabels: service?.spec.selector ?? {} }, labels))).toHaveLength(
      1,
    );
    expect(service?.spec.ports[0]?.targetPort).toBe('http');
    const scaled = ofKind('ScaledObject').map(({ spec }) => spec.scaleTargetRef.name);
    expect(new Set(scaled).size).toBe(2);
    for (const name of scaled) expect(deployments.map(({ metadata }) => metadata.name)).toContain(name);
    const [monitor] = ofKind('PodMonitor');
    const ports = new Set(deployments.flatMap((one) => container(one).ports.map(({ name }) => name)));
    expect(new Set(monitor?.spec.podMetricsEndpoints.map(({ port }) => port))).toEqual(ports);
  });

  test('scale by a metric that the API has, each kind of worker by its own tasks', () => {
    const queries = ofKind('ScaledObject').map(({ spec }) => spec.triggers[0]?.metadata.query ?? '');
    const source = readFileSync(join(ROOT, 'src/api/plugins/metrics.ts'), 'utf8');
    for (const query of queries) {
      const [name = ''] = /sparank_\w+/.exec(query) ?? [];
      expect(source).toContain(`gauge('${name}'`);
    }
    expect(queries.map((query) => /device="(\w+)"/.exec(query)?.[1]).sort()).toEqual(['cpu', 'gpu']);
  });

  test('keep webhooks away from the metadata of the cloud', () => {
    const blocks = ofKind('NetworkPolicy').flatMap(({ spec }) => spec.egress.flatMap(({ to = [] }) => to));
    expect(blocks.map(({ ipBlock }) => ipBlock.except).flat()).toContain('169.254.0.0/16');
  });
});

interface Compose {
  services: Record<
    string,
    {
      environment?: Record<string, string>;
      command?: string[];
      volumes?: string[];
      depends_on?: Record<string, { condition: string }>;
      healthcheck?: { test?: string[]; disable?: boolean };
      profiles?: string[];
      stop_grace_period?: string;
      ports?: string[];
    }
  >;
  volumes: Record<string, null>;
}

describe('docker-compose.yml', () => {
  const { services, volumes } = parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8'), {
    merge: true,
  }) as Compose;
  const ours = Object.entries(services).filter(([name]) => ['api', 'worker', 'worker-gpu'].includes(name));

  test('brings up PostgreSQL, Redis, an S3 store, the API, workers, and GPU workers on demand', () => {
    expect(Object.keys(services).sort()).toEqual(['api', 'postgres', 'redis', 's3', 'worker', 'worker-gpu']);
    expect(services['worker-gpu']?.profiles).toEqual(['gpu']);
    const redis = services['redis']?.command?.join(' ');
    expect(redis).toContain('--maxmemory-policy noeviction');
    expect(redis).toContain('--appendonly yes');
  });

  test('sets settings that there are, to values that are taken, and leaves time to stop', () => {
    expect(ours).toHaveLength(3);
    for (const [name, service] of ours) {
      const given = Object.entries(service.environment ?? {});
      expect(
        given.map(([key]) => key).filter((key) => !SETTINGS.has(key)),
        name,
      ).toEqual([]);
      // As without an .env file.
      const values = given.map(([key, value]) => [key, value.replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1')]);
      const settings = readConfig(Object.fromEntries(values) as Record<string, string>);
      expect(parseInt(service.stop_grace_period ?? '0', 10)).toBeGreaterThan(
        settings.SHUTDOWN_SECONDS + AFTERWARDS_SECONDS,
      );
    }
  });

  test('waits for what is healthy, declares its volumes, and opens ports to this machine only', () => {
    for (const [name, { depends_on = {}, volumes: mounts = [], ports = [] }] of Object.entries(services)) {
      for (const [other, { condition }] of Object.entries(depends_on)) {
        expect(condition, `${name} on ${other}`).toBe('service_healthy');
        expect(services[other]?.healthcheck?.disable, `${name} on ${other}`).not.toBe(true);
      }
      for (const mount of mounts) expect(Object.keys(volumes)).toContain(mount.split(':')[0]);
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
    }
  });
});

test('the image serves where the manifests look: its port, its data directory, its user', () => {
  const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
  for (const text of [
    'HOST=0.0.0.0',
    'PORT=8080',
    'DATA_DIR=/data',
    'USER node',
    'ENTRYPOINT ["tini", "--", "node", "dist/cli/main.js"]',
  ]) {
    expect(dockerfile, relative(ROOT, text)).toContain(text);
  }
});
