import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { startService, type TestService } from './support/service.js';

const run = promisify(execFile);
/** Not a name of this machine, which browsers trust over plain http; it leads here all the same. */
const HOST = 'sparank.example.test';

function hasChromium(): boolean {
  try {
    execFileSync('chromium', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn('chromium is not there: the pages are not opened in a browser');
    return false;
  }
}

describe.runIf(hasChromium())('in a browser, over plain http and a host name', () => {
  let postgres: TestPostgres;
  let service: TestService;
  let directory: string;
  let port: string;
  beforeAll(async () => {
    postgres = await startPostgres();
    service = await startService(postgres);
    await service.app.listen({ host: '127.0.0.1', port: 0 });
    ({ port } = new URL(service.app.listeningOrigin));
    directory = await mkdtemp(join(tmpdir(), 'sparank-chromium-'));
  });
  afterAll(async () => {
    await service.close();
    await postgres.stop();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  });

  /** The page once its scripts have run. */
  async function opened(path: string): Promise<string> {
    const { stdout } = await run(
      'chromium',
      [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--no-proxy-server',
        `--user-data-dir=${directory}`,
        `--host-resolver-rules=MAP ${HOST} 127.0.0.1`,
        '--virtual-time-budget=20000',
        '--dump-dom',
        `http://${HOST}:${port}${path}`,
      ],
      { maxBuffer: 2 ** 26, timeout: 100_000 },
    );
    return stdout;
  }

  test('/docs shows every call', async () => {
    const page = await opened('/docs/');
    const { paths } = (await service.call('GET', '/openapi.json', { key: null })).json<{ paths: object }>();
    expect(page.match(/class="opblock opblock-/g)).toHaveLength(
      Object.values(paths).reduce((sum: number, item: object) => sum + Object.keys(item).length, 0),
    );
    // A picture from elsewhere would tell others what is asked for here.
    expect(page).not.toMatch(/<img[^>]+src="https?:/);
  });

  test('/admin asks for a key', async () => {
    expect(await opened('/admin/queues/')).toMatch(/<form/);
  });
});

test('no page sends the browser to https', async () => {
  const postgres = await startPostgres();
  const service = await startService(postgres);
  for (const path of ['/docs/', '/docs/static/swagger-ui.css', '/admin/login', '/healthz', '/nowhere']) {
    const policy = (await service.call('GET', path, { key: null })).headers['content-security-policy'];
    expect(policy, path).toMatch(/default-src/);
    expect(policy, path).not.toMatch(/upgrade-insecure-requests/);
  }
  await service.close();
  await postgres.stop();
});
