import { expect } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { describeSettings, readConfig } from '../../src/config/index.js';

/** What the tests read of Kubernetes resources, whoever wrote them: kustomize's files or Helm. */
interface EnvVar {
  name: string;
  value?: string;
  valueFrom?: { secretKeyRef?: { name: string; key: string }; resourceFieldRef?: { resource: string } };
}
interface Probe {
  httpGet: { path: string; port: string };
}
export interface Container {
  image: string;
  args: string[];
  env: EnvVar[];
  envFrom?: { configMapRef: { name: string } }[];
  ports: { name: string; containerPort: number }[];
  startupProbe: Probe;
  livenessProbe: Probe;
  readinessProbe?: Probe;
  lifecycle?: { preStop: { exec: { command: string[] } } };
  resources: { requests: Record<string, string>; limits: Record<string, string> };
  securityContext: { readOnlyRootFilesystem: boolean };
  volumeMounts: { name: string; mountPath: string }[];
}
export interface Labels {
  matchLabels: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values: string[] }[];
}
interface EgressRule {
  to?: { ipBlock?: { cidr: string; except: string[] }; namespaceSelector?: object }[];
  ports: { protocol: string; port?: number; endPort?: number }[];
}
export interface Resource {
  apiVersion: string;
  kind: string;
  metadata: { name: string; annotations?: Record<string, string> };
  data?: Record<string, string>;
  stringData?: Record<string, string>;
  resources?: string[];
  spec: {
    replicas?: number;
    selector: Labels & Record<string, string>;
    podSelector: Labels;
    scaleTargetRef: { name: string };
    triggers: { metadata: { query: string } }[];
    podMetricsEndpoints: { port: string; path: string }[];
    ports: { targetPort: string }[];
    egress: EgressRule[];
    groups: object[];
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

const SETTINGS = new Set(describeSettings().map(({ name }) => name));
/** Beyond SHUTDOWN_SECONDS: handing back, signing off, closing. */
export const AFTERWARDS_SECONDS = 8;

export function readResources(text: string, where: string): Resource[] {
  return parseAllDocuments(text)
    .map((document) => {
      expect(document.errors, where).toEqual([]);
      return document.toJS() as Resource | null;
    })
    .filter((resource) => resource !== null);
}

export const containerOf = ({ spec }: Resource): Container => spec.template.spec.containers[0];

/** What a container's process sees, but for what comes from Secrets. */
export function environmentOf(one: Container, config: Record<string, string> = {}): Record<string, string> {
  const own = one.env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]]));
  return { ...config, ...(Object.fromEntries(own) as Record<string, string>) };
}

export const selects = ({ matchLabels, matchExpressions = [] }: Labels, labels: Record<string, string>): boolean =>
  Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
  matchExpressions.every(({ key, operator, values }) => values.includes(labels[key] ?? '') === (operator === 'In'));

export function expectSettings(deployment: Resource, config: Record<string, string> = {}): void {
  const one = containerOf(deployment);
  const names = one.env.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect([...names, ...Object.keys(config)].filter((name) => !SETTINGS.has(name))).toEqual([]);
  expect(() => readConfig(environmentOf(one, config))).not.toThrow();
  for (const { name, valueFrom } of one.env.filter((variable) => variable.valueFrom?.secretKeyRef !== undefined))
    expect(valueFrom?.secretKeyRef).toMatchObject({ name: 'sparank-secrets', key: name });
  for (const name of ['DATABASE_URL', 'REDIS_URL', 'STORAGE_URL'])
    expect(one.env.find((variable) => variable.name === name)?.valueFrom?.secretKeyRef).toBeDefined();
  // A worker with more threads than processors is throttled, and its timings are worth nothing.
  if (one.args[0] === 'worker') {
    expect(one.resources.limits['cpu']).toBeDefined();
    const threads = one.env.find(({ name }) => name === 'THREADS');
    expect(threads?.valueFrom).toEqual({ resourceFieldRef: { resource: 'limits.cpu' } });
  }
}

export function expectCareful(deployment: Resource, config: Record<string, string> = {}): void {
  const one = containerOf(deployment);
  const { terminationGracePeriodSeconds, volumes, securityContext } = deployment.spec.template.spec;
  const settings = readConfig(environmentOf(one, config));
  const sleep = Number(one.lifecycle?.preStop.exec.command[1] ?? 0);
  const needed = settings.SHUTDOWN_SECONDS + AFTERWARDS_SECONDS + sleep;
  expect(terminationGracePeriodSeconds).toBeGreaterThan(needed);
  const isApi = one.args[0] === 'start';
  const port = isApi ? 'http' : 'metrics';
  expect(one.ports.map(({ name }) => name)).toEqual([port]);
  expect(one.ports[0]?.containerPort).toBe(isApi ? settings.PORT : settings.METRICS_PORT);
  for (const probe of [one.startupProbe, one.livenessProbe]) expect(probe.httpGet).toEqual({ path: '/healthz', port });
  expect(one.readinessProbe?.httpGet).toEqual(isApi ? { path: '/readyz', port } : undefined);
  expect(one.resources.limits['memory']).toBeDefined();
  expect(securityContext.runAsNonRoot).toBe(true);
  expect(one.securityContext.readOnlyRootFilesystem).toBe(true);
  expect(one.volumeMounts.map(({ mountPath }) => mountPath)).toEqual(['/data', '/tmp']);
  expect(volumes.map(({ name }) => name)).toEqual(one.volumeMounts.map(({ name }) => name));
}

/** Every pod is meant by one budget and one network policy, those of the API by a service. */
export function expectSelected(resources: Resource[]): void {
  const ofKind = (kind: string) => resources.filter((resource) => resource.kind === kind);
  const deployments = ofKind('Deployment');
  for (const { spec, metadata } of deployments) {
    const { labels } = spec.template.metadata;
    expect(selects(spec.selector, labels), metadata.name).toBe(true);
    const budgets = ofKind('PodDisruptionBudget').filter((one) => selects(one.spec.selector, labels));
    expect(budgets, metadata.name).toHaveLength(1);
    const policies = ofKind('NetworkPolicy').filter((one) => selects(one.spec.podSelector, labels));
    expect(policies, metadata.name).toHaveLength(1);
    // Selectors of one Deployment must not take in the pods of another.
    const others = deployments.filter((other) => selects(spec.selector, other.spec.template.metadata.labels));
    expect(others, metadata.name).toHaveLength(1);
  }
  const [service] = ofKind('Service');
  const served = deployments.filter(({ spec }) =>
    selects({ matchLabels: service?.spec.selector ?? {} }, spec.template.metadata.labels),
  );
  expect(served.map((one) => containerOf(one).args)).toEqual([['start']]);
  expect(service?.spec.ports[0]?.targetPort).toBe('http');
  const names = deployments.map(({ metadata }) => metadata.name);
  for (const { spec } of ofKind('ScaledObject')) expect(names).toContain(spec.scaleTargetRef.name);
  const ports = new Set(deployments.flatMap((one) => containerOf(one).ports.map(({ name }) => name)));
  for (const { spec } of ofKind('PodMonitor'))
    expect(new Set(spec.podMetricsEndpoints.map(({ port }) => port))).toEqual(ports);
}

/** TCP to anywhere, so to any port of a store or a collector, but never to the cloud's metadata. */
export function expectEgress(resources: Resource[]): void {
  const policies = resources.filter(({ kind }) => kind === 'NetworkPolicy');
  expect(policies).toHaveLength(2);
  for (const { spec } of policies) {
    const [dns, ...rules] = spec.egress;
    expect(dns?.ports.map(({ port }) => port)).toEqual([53, 53]);
    for (const { ports } of rules) expect(ports).toEqual([{ protocol: 'TCP' }]);
    const targets = rules.flatMap(({ to = [] }) => to);
    expect(targets.some(({ namespaceSelector }) => namespaceSelector !== undefined)).toBe(true);
    const blocks = targets.flatMap(({ ipBlock }) => (ipBlock === undefined ? [] : [ipBlock]));
    expect(blocks.map(({ cidr }) => cidr)).toEqual(['0.0.0.0/0', '::/0']);
    expect(blocks.flatMap(({ except }) => except)).toEqual(['169.254.0.0/16', 'fe80::/10', 'fd00:ec2::254/128']);
    // No rule without addresses: that would be a way to the metadata too.
    expect(rules.every(({ to = [] }) => to.length > 0)).toBe(true);
  }
}
