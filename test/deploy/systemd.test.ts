import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { describeSettings, readConfig } from '../../src/config/index.js';

const FOLDER = fileURLToPath(new URL('../../deploy/systemd/', import.meta.url));
const UNITS = readdirSync(FOLDER);
const read = (unit: string) => readFileSync(join(FOLDER, unit), 'utf8');
const valuesOf = (unit: string, key: string) =>
  [...read(unit).matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value]) => value ?? '');

/** Of the service: what does not answer is let go of after the grace. */
const LAST_SECONDS = 8;
const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0;
if (!hasSystemd) console.warn('no systemd-analyze: the units are not verified by it');

describe('the units for systemd', () => {
  it('are those of an API and of workers', () => {
    expect(UNITS.sort()).toEqual(['sparank-api.service', 'sparank-worker@.service']);
  });

  it.each(UNITS)(
    '%s lets the service stop in its own way and time, and ends nothing for a child that took too much',
    (unit) => {
      expect(valuesOf(unit, 'KillMode')).toEqual(['mixed']);
      expect(valuesOf(unit, 'KillSignal')).toEqual(['SIGTERM']);
      expect(Number(valuesOf(unit, 'TimeoutStopSec')[0])).toBeGreaterThan(
        readConfig({}).SHUTDOWN_SECONDS + LAST_SECONDS,
      );
      expect(valuesOf(unit, 'OOMPolicy')).toEqual(['continue']);
      // A shell or npm between systemd and the service would keep the signal to itself.
      expect(valuesOf(unit, 'ExecStart')[0]).toMatch(/^\/usr\/bin\/node dist\/cli\/main\.js (start|worker)$/);
    },
  );

  it.each(UNITS)('%s sets only what there is, and keeps its data where it may write', (unit) => {
    const given = valuesOf(unit, 'Environment').flatMap((line) => line.split(' ').map((pair) => pair.split('=')));
    const known = new Set([...describeSettings().map(({ name }) => name), 'NODE_ENV']);
    expect(given.map(([name]) => name).filter((name) => !known.has(name ?? ''))).toEqual([]);
    const dataDir = given.find(([name]) => name === 'DATA_DIR')?.[1];
    expect(dataDir).toBe(`%S/${valuesOf(unit, 'StateDirectory')[0] ?? ''}`);
    expect(valuesOf(unit, 'ProtectSystem')).toEqual(['strict']);
  });

  it.runIf(hasSystemd).each(UNITS)('%s is what systemd understands, and little exposed', (unit) => {
    const folder = mkdtempSync(join(tmpdir(), 'sparank-units-'));
    try {
      const path = join(folder, unit.replace('@.', '@1.'));
      // The programs that it names are looked for.
      writeFileSync(path, read(unit).replace('/usr/bin/node', process.execPath));
      const verified = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' });
      expect(verified.stderr.split('\n').filter((line) => line.includes(unit.slice(0, 8)))).toEqual([]);
      expect(verified.status).toBe(0);
      const exposed = spawnSync('systemd-analyze', ['security', '--offline=yes', '--threshold=20', path], {
        encoding: 'utf8',
      });
      expect(exposed.status, exposed.stdout.slice(-300)).toBe(0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
