import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { expectProblem, startService, type TestService } from './support/service.js';

const built = existsSync(new URL('../../dist/web/index.html', import.meta.url));
if (!built) console.warn('the dashboard is not built (npm run build): its files are not asked for');

let postgres: TestPostgres;
let service: TestService;
beforeAll(async () => {
  postgres = await startPostgres();
  service = await startService(postgres);
});
afterAll(async () => {
  await service.close();
  await postgres.stop();
});

const open = (url: string, headers: Record<string, string> = {}) => service.call('GET', url, { key: null, headers });

describe.runIf(built)('the dashboard', () => {
  test('is one page at / and at every address of its own, without a key', async () => {
    const start = await open('/');
    expect([start.statusCode, start.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect(start.headers['cache-control']).toBe('no-store');
    for (const url of ['/ui/jobs', '/ui/jobs/job_1?tab=layers', '/ui/']) {
      const page = await open(url);
      expect(page.body.replaceAll(/content="[\w-]{22}"/g, ''), url).toBe(
        start.body.replaceAll(/content="[\w-]{22}"/g, ''),
      );
    }
  });

  test('loads nothing from elsewhere and runs nothing inline', async () => {
    const [one, two] = [await open('/'), await open('/')];
    const policy = String(one.headers['content-security-policy']);
    expect(policy).toContain("default-src 'self'");
    expect(policy).not.toMatch(/unsafe|https?:|data:|\*|upgrade-insecure/);
    const nonce = /'nonce-([\w-]{22})'/.exec(policy)?.[1] ?? '';
    expect(one.body).toContain(`content="${nonce}"`);
    expect(two.body).not.toContain(nonce);
    expect(one.body).not.toMatch(/<script(?![^>]* src=)|<style|style=|(src|href)="(https?:)?\/\//);
  });

  test('has files that may be kept for ever, packed as the browser takes them', async () => {
    const script = /src="(\/ui\/assets\/[\w.-]+\.js)"/.exec((await open('/')).body)?.[1] ?? '';
    const plain = await open(script);
    expect([plain.statusCode, plain.headers['cache-control']]).toEqual([200, 'public, max-age=31536000, immutable']);
    const packed = await open(script, { 'accept-encoding': 'gzip, br' });
    expect(packed.headers['content-encoding']).toBe('br');
    expect(packed.rawPayload.length).toBeLessThan(plain.rawPayload.length / 2);
    expect(packed.headers['content-type']).toBe(plain.headers['content-type']);
  });
});

test('programs still get problems for what is not there', async () => {
  for (const url of ['/nowhere', '/ui/assets/none-12345678.js', '/ui/assets/../../package.json'])
    expectProblem(await open(url), 404, 'not_found');
  expectProblem(await open('/jobs', { accept: 'text/html' }), 401, 'unauthorized');
  const { paths } = (await open('/openapi.json')).json<{ paths: object }>();
  expect(Object.keys(paths).filter((path) => path === '/' || path.startsWith('/ui'))).toEqual([]);
});
