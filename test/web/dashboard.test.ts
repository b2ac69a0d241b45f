import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasBrowser, openBrowser, openPage, violations } from './browser.js';
import { startWhole, type WholeService } from './service.js';

describe.runIf(hasBrowser)('the dashboard in Chromium', () => {
  let service: WholeService;
  let browser: Browser;
  let one: string;
  let several: string;
  beforeAll(async () => {
    [service, browser] = await Promise.all([startWhole(), openBrowser()]);
    one = await service.submit();
    several = await service.submit({ target: undefined, targets: [{ parameter_ratio: 2 }, { parameter_ratio: 3 }] });
    await service.ended(one);
    expect(await service.ended(several)).toBe('succeeded');
    // Nobody can run it: it stays in the queue.
    await service.submit({ resources: { class: 'none' }, labels: { pipeline: 'release' } });
  });
  afterAll(async () => {
    await browser.close();
    await service.close();
  });

  async function enter(path: string, look: Parameters<typeof openPage>[2] = {}) {
    const watched = await openPage(browser, service.url, look);
    await watched.page.goto(`${path}#key=${service.key}`);
    await watched.page.waitForSelector('main h1');
    return watched;
  }

  test('opens with a key only, says so when the key is wrong, and logs out', async () => {
    const { page } = await openPage(browser, service.url);
    await page.goto('/');
    await page.getByLabel('API key').fill('spk_wrong');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').getByText('unknown, revoked or expired').waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByLabel('API key').fill(service.key);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: 'Jobs' }).waitFor();
    // The key is nowhere that a script could read it.
    expect(await page.evaluate<string>('JSON.stringify({ ...localStorage }) + document.cookie')).not.toContain('spk_');
    await page.getByRole('button', { name: /Account/ }).click();
    await page.getByRole('menuitem', { name: 'Log out' }).click();
    await page.getByLabel('API key').waitFor();
    // An address with a key logs in where the dashboard is open already, and keeps the key nowhere.
    await page.evaluate(`location.hash = '#key=${service.key}'`);
    await page.getByRole('heading', { name: 'Jobs' }).waitFor();
    expect(page.url()).not.toContain('spk_');
    await page.close();
  });

  test('every page has no violation, no complaint and no other host, light and dark, wide and narrow', async () => {
    const paths = [
      '/ui/jobs',
      '/ui/submit',
      `/ui/jobs/${one}`,
      ...['layers', 'network', 'timeline', 'specification'].map((tab) => `/ui/jobs/${one}?tab=${tab}`),
      `/ui/jobs/${several}`,
      `/ui/compare?jobs=${one},${several}`,
      '/ui/pool',
      '/ui/team',
      '/ui/admin',
    ];
    const looks = [{ width: 1280 }, { width: 390, colorScheme: 'dark' as const }];
    for (const look of looks) {
      const { page, complaints, hosts } = await enter('/ui/jobs', look);
      for (const path of paths) {
        await page.goto(path);
        await page.waitForSelector('main h1');
        await page.waitForSelector('.loading', { state: 'detached' });
        expect(await violations(page), `${path} ${look.width}`).toEqual([]);
        expect(
          await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth'),
          `${path} is no wider than the screen`,
        ).toBeLessThanOrEqual(0);
      }
      expect(complaints).toEqual([]);
      expect([...hosts]).toEqual([new URL(service.url).host]);
      await page.close();
    }
  });

  test('the list filters by the address, and new jobs appear by themselves', async () => {
    const { page } = await enter('/ui/jobs');
    await page.getByRole('button', { name: 'Succeeded' }).click();
    await page.waitForURL(/status=succeeded/);
    await expect.poll(() => page.locator('.job-row').count()).toBeGreaterThan(0);
    await expect.poll(() => page.locator('.job-row .badge:not(.is-good):not(.is-warn)').count()).toBe(0);
    const asked: string[] = [];
    page.on('request', (request) => {
      const { pathname } = new URL(request.url());
      if (pathname.startsWith('/jobs')) asked.push(`${request.method()} ${pathname}`);
    });
    await page.goto('/ui/jobs?label=pipeline%3Drelease');
    await expect.poll(() => page.locator('.job-row').count()).toBe(1);
    await service.submit({ resources: { class: 'none' }, labels: { pipeline: 'release' } });
    await expect.poll(() => page.locator('.job-row').count(), { timeout: 120_000 }).toBe(2);
    await page.getByLabel('Select all jobs that are shown').check();
    await page.getByRole('button', { name: 'Cancel 2' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel 2' }).click();
    await expect.poll(() => page.locator('.job-row').getByText('Canceled').count(), { timeout: 120_000 }).toBe(2);
    // One stream, one list that is read after it, one call for all that are canceled: nothing is polled.
    expect(asked).toEqual(['GET /jobs/events', 'GET /jobs', 'POST /jobs/cancel']);
    await page.close();
  });

  test('the list is found by text, counts what it finds, and is whole again when the stream was cut', async () => {
    const { page } = await enter('/ui/jobs?text=nightly');
    await page.getByText('2 found').waitFor();
    await page.getByLabel('Search').fill('no such job');
    await page.getByText('No job matches').waitFor();
    await page.getByLabel('Search').fill('small.onnx');
    await page.getByText(/[3-9] found/).waitFor();
    // Whoever comes back after a cut misses nothing: the list is read again behind the new stream.
    await page.context().setOffline(true);
    const made = await service.submit({ resources: { class: 'none' }, labels: { pipeline: 'cut' } });
    await page.context().setOffline(false);
    await page.locator('.job-row').filter({ hasText: made }).waitFor({ timeout: 120_000 });
    await service.call('POST', '/jobs/cancel', { ids: [made] });
    await page.locator('.job-row').filter({ hasText: made }).getByText('Canceled').waitFor();
    await page.close();
  });

  test('a job is submitted from dropped files, checked while it is written', async () => {
    const { page } = await enter('/ui/submit');
    await page.locator('input[name=model]').setInputFiles(service.files.model);
    await page.locator('input[name=calibration]').setInputFiles(service.files.calibration);
    await page.getByText('this would be accepted').waitFor({ timeout: 120_000 });
    await page.getByText(/about .* of two quiet cores/).waitFor();
    await page.getByLabel('How much, target 1').fill('100000');
    await page.getByText('this would be refused').waitFor({ timeout: 120_000 });
    await page.getByLabel('How much, target 1').fill('2');
    await page.getByText('this would be accepted').waitFor({ timeout: 120_000 });
    await page.getByText('The specification as JSON').click();
    await page.getByLabel('Effort').selectOption('As long as I say');
    await page.getByLabel('Minutes').fill('2');
    await page.getByText('"effort": 120').waitFor();
    await page.getByText('this would be accepted').waitFor({ timeout: 120_000 });
    await page.getByLabel('Effort').selectOption('Quick');
    await page.getByText('"effort": "quick"').waitFor();
    await page.getByRole('button', { name: 'Submit' }).click();
    await page.waitForURL(/\/ui\/jobs\/job_/);
    await page.close();
  });

  test('an operator sees the jobs of another team, cancels them, and goes no further', async () => {
    const made = await service.call('POST', '/teams', { name: 'other' });
    const { id: team } = (await made.json()) as { id: string };
    const keys = await service.call('POST', `/teams/${team}/keys`, {
      name: 'one',
      scopes: ['jobs:read', 'jobs:write'],
    });
    const { key } = (await keys.json()) as { key: string };
    const theirs = await service.submit({ resources: { class: 'none' } }, key);
    const { page } = await enter(`/ui/jobs?team=${team}`);
    const row = page.locator('.job-row').filter({ hasText: theirs });
    await row.waitFor();
    expect(await row.getByRole('link').count()).toBe(0);
    await row.getByRole('checkbox').check();
    await page.getByRole('button', { name: 'Cancel 1' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel 1' }).click();
    await row.getByText('Canceled').waitFor();
    await page.close();
  });

  test('the secret of the webhooks is made, and made anew', async () => {
    const { page } = await enter('/ui/team');
    const dialog = page.getByRole('dialog');
    await page.getByRole('button', { name: 'Signing secret' }).click();
    await dialog.getByText('The team has none yet').waitFor();
    await dialog.getByRole('button', { name: 'Make a secret' }).click();
    await dialog.getByText(/^whsec_/).waitFor();
    expect(await violations(page)).toEqual([]);
    await dialog.getByRole('button', { name: 'Done' }).click();
    await page.getByRole('button', { name: 'Signing secret' }).click();
    await dialog.getByText('The team has one since').waitFor();
    await dialog.getByRole('button', { name: 'Make a new one' }).waitFor();
    await page.close();
  });

  test('what the key may not do is not offered', async () => {
    const made = await service.call('POST', '/teams/self/keys', { name: 'reader', scopes: ['jobs:read'] });
    const { key } = (await made.json()) as { key: string };
    const { page } = await openPage(browser, service.url);
    await page.goto(`/ui/jobs/${one}#key=${key}`);
    await page.waitForSelector('main h1');
    for (const name of ['New job', 'Admin', 'Again with changes'])
      expect(await page.getByText(name).count(), name).toBe(0);
    await page.close();
  });
});
