import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError, describeSettings, readConfig } from '../src/config/index.js';

test('an empty environment gives the defaults, frozen', () => {
  const config = readConfig({});
  expect(config).toMatchObject({ HOST: '127.0.0.1', PORT: 8080, ENGINE: 'auto', LEASE_SECONDS: 15 });
  expect(config.DATABASE_URL).toBeUndefined();
  expect(config.DATA_DIR).toBe(resolve('./.data'));
  expect(Object.isFrozen(config)).toBe(true);
});

test('an empty variable counts as absent', () => {
  expect(readConfig({ PORT: '', DATABASE_URL: '' })).toMatchObject({ PORT: 8080 });
});

test('numbers are read from text', () => {
  expect(readConfig({ PORT: '0', LEASE_SECONDS: '1.5' })).toMatchObject({ PORT: 0, LEASE_SECONDS: 1.5 });
});

test.each([
  ['PORT', 'http'],
  ['PORT', '70000'],
  ['PORT', '1.5'],
  ['ENGINE', 'metal'],
  ['LOG_LEVEL', 'loud'],
  ['DATABASE_URL', 'mysql://db'],
  ['REDIS_URL', 'db:6379'],
  ['STORAGE_URL', '/var/files'],
  ['BOOTSTRAP_API_KEY', 'short'],
  ['LEASE_SECONDS', '0'],
  ['TRUST_PROXY', 'true'],
  ['TRUST_PROXY', '1'],
  ['TRUST_PROXY', '10.0.0.0/8, 10.0.0.256'],
  ['TRUST_PROXY', '0.0.0.0/0'],
  ['TRUST_PROXY', '10.0.0.0/33'],
])('%s=%s stops the program and names the variable', (name, value) => {
  expect(() => readConfig({ [name]: value })).toThrow(ConfigError);
  expect(() => readConfig({ [name]: value })).toThrow(name);
});

test('every bad variable is named at once', () => {
  expect(() => readConfig({ PORT: 'x', ENGINE: 'y' })).toThrow(/PORT.*ENGINE/s);
});

test('proxies are addresses, networks or names of networks', () => {
  for (const TRUST_PROXY of ['loopback', '10.0.0.0/8, fd00::/8', '192.0.2.7', '::1']) {
    expect(readConfig({ TRUST_PROXY }).TRUST_PROXY).toBe(TRUST_PROXY);
  }
});

test('variables that are none of ours are ignored', () => {
  expect(readConfig({ PATH: '/bin', NODE_ENV: 'production' })).toEqual(readConfig({}));
});

test('every setting is described with its default', () => {
  const settings = describeSettings();
  expect(settings.find(({ name }) => name === 'PORT')).toMatchObject({ fallback: 8080 });
  expect(settings.find(({ name }) => name === 'DATABASE_URL')).toMatchObject({ fallback: null });
  expect(new Set(settings.map(({ name }) => name)).size).toBe(settings.length);
});

test('the table in docs/operations.md names every setting with its default and meaning', async () => {
  const text = await readFile(new URL('../docs/operations.md', import.meta.url), 'utf8');
  const section = text.slice(text.indexOf('<!-- settings'), text.indexOf('<!-- end of settings'));
  const rows = section.split('\n').filter((line) => line.startsWith('| `'));
  const cells = rows.map((row) => row.split('|').map((cell) => cell.trim()));
  const expected = describeSettings().map(({ name, fallback, description }) => {
    const shown = fallback === null ? '' : `\`${fallback === '' ? '(empty)' : String(fallback)}\``;
    return ['', `\`${name}\``, shown, description, ''];
  });
  expect(cells).toEqual(expected);
});
