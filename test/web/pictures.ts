import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { openBrowser, openPage } from './browser.js';
import { startProcess } from './process.js';

/**
 * `npm run pictures`: the pictures of docs/dashboard.md, every page of a service with real jobs, light and dark.
 * SPARANK_URL and SPARANK_API_KEY name a service that runs already; names of pictures after `--` make these alone.
 */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = join(ROOT, 'docs/pictures');
const EXAMPLE = join(ROOT, 'examples/fashion-mnist');
const WIDE = { width: 1200, height: 780 };
const NARROW = { width: 390, height: 780 };

interface Service {
  url: string;
  key: string;
  close: () => Promise<void>;
}

const { SPARANK_URL, SPARANK_API_KEY } = process.env;
const running = (url: string): Service => ({ url, key: SPARANK_API_KEY ?? '', close: () => Promise.resolve() });
const service: Service = SPARANK_URL === undefined ? await startProcess() : running(SPARANK_URL);

async function call<T>(method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<T> {
  const file = body instanceof Uint8Array;
  const type = file ? 'application/octet-stream' : 'application/json';
  const response = await fetch(service.url + path, {
    method,
    headers: {
      authorization: `Bearer ${service.key}`,
      ...(body === undefined ? {} : { 'content-type': type }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: file ? new Uint8Array(body) : JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

async function upload(name: string): Promise<{ upload: string }> {
  const content = await readFile(join(EXAMPLE, name));
  const { id } = await call<{ id: string }>('POST', `/uploads?filename=${name}`, content);
  return { upload: id };
}

/** The job of this name: submitted again, it is the same. */
async function job(name: string, labels: Record<string, string>, change: object = {}): Promise<string> {
  const spec = {
    model: await upload('model.onnx'),
    calibration: await upload('calibration.npz'),
    evaluation: await upload('evaluation.npz'),
    target: { parameter_ratio: 4 },
    method: { samples: 1000 },
    effort: 'quick',
    labels,
    ...change,
  };
  return (await call<{ id: string }>('POST', '/jobs', spec, { 'idempotency-key': `picture-${name}` })).id;
}

async function ended(id: string): Promise<void> {
  for (;;) {
    const { status } = await fetch(`${service.url}/jobs/${id}`, {
      headers: { authorization: `Bearer ${service.key}`, prefer: 'wait=20' },
    }).then((response) => response.json() as Promise<{ status: string }>);
    if (['succeeded', 'failed', 'canceled'].includes(status)) return;
  }
}

async function picture(page: Page, path: string, name: string): Promise<void> {
  await page.goto(path);
  await page.waitForSelector('main h1');
  await page.waitForSelector('.loading', { state: 'detached' });
  await page.waitForSelector('[aria-busy=true]', { state: 'detached' });
  await page.mouse.move(0, 0);
  // Fonts, and plots that are laid out once their place is known.
  await page.evaluate('document.fonts.ready.then(() => new Promise((done) => setTimeout(done, 400)))');
  await page.screenshot({ path: join(FOLDER, `${name}.png`) });
  console.log(name);
}

try {
  await mkdir(FOLDER, { recursive: true });
  const nightly = { pipeline: 'nightly', branch: 'main' };
  const several = await job('several', nightly, {
    target: undefined,
    targets: [{ parameter_ratio: 2 }, { parameter_ratio: 4 }, { parameter_ratio: 8 }],
  });
  const missed = await job(
    'missed',
    { pipeline: 'try', branch: 'faster' },
    { target: { mac_ratio: 3 }, constraints: { min_speedup: 6 } },
  );
  const one = await job('one', nightly, { constraints: { max_accuracy_drop: 0.01 } });
  for (const id of [one, several, missed]) await ended(id);
  const canceled = await job('canceled', { pipeline: 'try', branch: 'faster' }, { resources: { class: 'gpu' } });
  await job('waits', { pipeline: 'release', branch: 'main' }, { resources: { class: 'gpu' } });
  await call('POST', `/jobs/${canceled}/cancel`);
  const pages: [name: string, path: string][] = [
    ['jobs', '/ui/jobs'],
    ['new-job', `/ui/submit?again=${one}`],
    ['job', `/ui/jobs/${one}`],
    ['job-points', `/ui/jobs/${several}`],
    ['job-layers', `/ui/jobs/${one}?tab=layers`],
    ['job-network', `/ui/jobs/${one}?tab=network`],
    ['job-timeline', `/ui/jobs/${one}?tab=timeline`],
    ['job-specification', `/ui/jobs/${one}?tab=specification`],
    ['compare', `/ui/compare?jobs=${one},${several},${missed}`],
    ['pool', '/ui/pool'],
    ['team', '/ui/team'],
    ['admin', '/ui/admin'],
  ];
  const asked = process.argv.slice(2);
  const browser = await openBrowser();
  for (const colorScheme of ['light', 'dark'] as const) {
    const { page } = await openPage(browser, service.url, { colorScheme });
    await page.setViewportSize(WIDE);
    await page.goto('/');
    await page.waitForSelector('input');
    if (asked.length === 0 || asked.includes('login')) await picture(page, '/', `login-${colorScheme}`);
    await page.goto(`/ui/jobs#key=${service.key}`);
    await page.waitForSelector('main h1');
    for (const [name, path] of pages)
      if (asked.length === 0 || asked.includes(name)) await picture(page, path, `${name}-${colorScheme}`);
    await page.setViewportSize(NARROW);
    for (const [name, path] of pages)
      if (asked.length === 0 ? ['jobs', 'job'].includes(name) : asked.includes(`${name}-phone`))
        await picture(page, path, `${name}-phone-${colorScheme}`);
  }
  await browser.close();
} finally {
  await service.close();
}
