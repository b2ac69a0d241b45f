import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/index.js';
import { DEFAULT_TEAM, SCOPES } from '../database/records.js';
import type { KeyRepository } from '../database/repositories.js';
import { newKey, visiblePrefix } from '../api/new-key.js';
import { hashKey } from '../api/plugins/auth.js';

/** Where the CLI finds the key of an embedded service. */
export const keyFile = (config: Pick<Config, 'DATA_DIR'>): string => join(config.DATA_DIR, 'api-key');

export interface BootstrapKey {
  key: string;
  /** True when this call made it: show it once. */
  created: boolean;
}

async function embeddedKey(config: Config): Promise<BootstrapKey> {
  const path = keyFile(config);
  const key = newKey();
  await mkdir(config.DATA_DIR, { recursive: true });
  try {
    await writeFile(path, `${key}\n`, { mode: 0o600, flag: 'wx' });
    return { key, created: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return { key: (await readFile(path, 'utf8')).trim(), created: false };
  }
}

/**
 * The first admin key: the one of the settings, or one that the embedded mode (no DATABASE_URL) makes and keeps.
 * Null when neither applies: keys are then made by an admin.
 */
export async function ensureBootstrapKey(
  config: Config,
  keys: Pick<KeyRepository, 'create'>,
): Promise<BootstrapKey | null> {
  let bootstrap: BootstrapKey;
  if (config.BOOTSTRAP_API_KEY !== undefined) bootstrap = { key: config.BOOTSTRAP_API_KEY, created: false };
  else if (config.DATABASE_URL === undefined) bootstrap = await embeddedKey(config);
  else return null;
  await keys.create(DEFAULT_TEAM, {
    hash: hashKey(bootstrap.key),
    prefix: visiblePrefix(bootstrap.key),
    name: 'bootstrap',
    scopes: [...SCOPES],
  });
  return bootstrap;
}
