import { existsSync } from 'node:fs';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium, type Browser, type Page } from 'playwright-core';

const PATH = process.env['SPARANK_CHROMIUM'] ?? '/usr/bin/chromium';
export const hasBrowser = existsSync(PATH);
if (!hasBrowser) console.warn(`no Chromium at ${PATH} (SPARANK_CHROMIUM): the dashboard is not opened in a browser`);

export const openBrowser = (): Promise<Browser> =>
  chromium.launch({ executablePath: PATH, args: ['--no-sandbox', '--no-proxy-server'] });

export interface Watched {
  page: Page;
  /** What the browser complained of, policies included. */
  complaints: string[];
  /** Hosts that were asked for anything. */
  hosts: Set<string>;
}

/** A page that keeps what goes wrong on it. */
export async function openPage(
  browser: Browser,
  url: string,
  { width = 1280, colorScheme = 'light' as 'light' | 'dark' } = {},
): Promise<Watched> {
  const context = await browser.newContext({ baseURL: url, viewport: { width, height: 860 }, colorScheme });
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  const complaints: string[] = [];
  const hosts = new Set<string>();
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => hosts.add(new URL(request.url()).host));
  return { page, complaints, hosts };
}

/** What axe finds wrong with the page, in words. */
export async function violations(page: Page): Promise<string[]> {
  const found = await new AxeBuilder({ page }).analyze();
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`);
}
