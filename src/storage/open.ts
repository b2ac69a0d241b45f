import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/index.js';
import { LocalStorage } from './local-storage.js';
import { readS3Url } from './s3-url.js';
import { S3Storage } from './s3-storage.js';
import type { Storage } from './storage.js';

/** The storage that the settings name; connects lazily, so an S3 that is down shows in `check()`. */
export async function openStorage(config: Pick<Config, 'STORAGE_URL' | 'DATA_DIR'>): Promise<Storage> {
  const url = config.STORAGE_URL;
  if (url === undefined) return LocalStorage.open(join(config.DATA_DIR, 'storage'));
  if (url.startsWith('file:')) return LocalStorage.open(fileURLToPath(url));
  return new S3Storage(readS3Url(url));
}
