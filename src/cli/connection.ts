import { readFile } from 'node:fs/promises';
import { keyFile } from '../service/bootstrap-key.js';
import { readConfig } from '../config/index.js';
import { InputError } from '../errors/index.js';
import { ServiceClient } from './client.js';

export interface ConnectionOptions {
  url?: string;
  apiKey?: string;
}

/** The service that the command talks to: options first, then SPARANK_URL and SPARANK_API_KEY, then the local service. */
export async function connect({ url, apiKey }: ConnectionOptions): Promise<ServiceClient> {
  const config = readConfig(process.env);
  const base = url ?? process.env['SPARANK_URL'] ?? `http://${config.HOST}:${config.PORT}`;
  const key = apiKey ?? process.env['SPARANK_API_KEY'] ?? (await storedKey(keyFile(config)));
  return new ServiceClient(base, key);
}

async function storedKey(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch {
    throw new InputError('unauthorized', `no API key: set SPARANK_API_KEY (there is none in ${path} either)`);
  }
}
