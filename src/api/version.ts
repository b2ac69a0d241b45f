import { readFileSync } from 'node:fs';

/** package.json is beside src/ and beside dist/. */
const file = new URL('../../package.json', import.meta.url);

export const VERSION = (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
