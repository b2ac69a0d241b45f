import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { describeSettings, readConfig } from '../../src/config/index.js';
import { AFTERWARDS_SECONDS } from './manifests.js';

const COMPOSE = fileURLToPath(new URL('../../docker-compose.yml', import.meta.url));
const SETTINGS = new Set(describeSettings().map(({ name }) => name));

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
      deploy?: { resources?: { limits?: { cpus?: string } } };
    }
  >;
  volumes: Record<string, null>;
}

describe('docker-compose.yml', () => {
  const { services, volumes } = parse(readFileSync(COMPOSE, 'utf8'), {
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

  test('gives a worker as many threads as it has processors', () => {
    const { worker } = services;
    expect(worker?.environment?.['THREADS']).toBe('${WORKER_CPUS:-0}');
    expect(worker?.deploy?.resources?.limits?.cpus).toBe(worker?.environment?.['THREADS']);
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
