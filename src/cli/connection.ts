import { readFile } from 'node:fs/promises';
import { keyFile } from '../service/bootstrap-key.js';
import { Sparank } from '../client/node/index.js';
import { readConfig } from '../config/index.js';
import { InputError } from '../errors/index.js';

export interface ConnectionOptions {
  url?: string;
  apiKey?: string;
}

/** A service that does not answer a command is told of at once: its URL may be wrong. */
const NO_PATIENCE = { patienceSeconds: 0 };

/**
 * The service that the command talks to: options first, then SPARANK_URL and SPARANK_API_KEY, then the local service.
 */
export async function connect(
  { url, apiKey }: ConnectionOptions,
  patience: { patienceSeconds?: number } = NO_PATIENCE,
): Promise<Sparank> {
  const config = readConfig(process.env);
  const base = url ?? process.env['SPARANK_URL'] ?? `http://${config.HOST}:${config.PORT}`;
  if (!URL.canParse(base) || !/^https?:$/.test(new URL(base).protocol))
    throw new InputError('invalid_request', `the URL of the service must begin with http:// or https://, not ${base}`);
  const key = apiKey ?? process.env['SPARANK_API_KEY'] ?? (await storedKey(keyFile(config)));
  return new Sparank({ url: base, apiKey: key, ...patience });
}

/** The body of an answer; what is no success was thrown. */
export function bodyOf<T>({ data, response }: { data?: T | undefined; response: Response }): T {
  if (data === undefined) throw new Error(`an answer with ${response.status} has no body`);
  return data;
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** The options that were given. */
export const given = <T extends object>(options: T) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<T>;

async function storedKey(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch {
    throw new InputError('unauthorized', `no API key: set SPARANK_API_KEY (there is none in ${path} either)`);
  }
}
