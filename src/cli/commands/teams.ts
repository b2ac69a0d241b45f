import { InputError } from '../../errors/index.js';
import { connect, type ConnectionOptions } from '../connection.js';
import { print, printJson } from '../display/output.js';

interface Common extends ConnectionOptions {
  json: boolean;
}

interface Team {
  id: string;
  name: string;
  weight: number;
  limits: Record<string, number | null>;
}

interface Key {
  id: string;
  name: string;
  prefix: string;
  scopes: string[];
  expires_at: string | null;
  last_used_at: string | null;
  revoked_at: string | null;
}

export interface TeamOptions extends Common {
  name?: string;
  weight?: string;
  runningTasks?: string;
  queuedJobs?: string;
  storageBytes?: string;
  requestsPerMinute?: string;
}

/** A limit's option: a number, or `default` for the setting of the service. */
function limit(option: string, given: string | undefined): number | null | undefined {
  if (given === undefined) return undefined;
  if (given === 'default') return null;
  const value = Number(given);
  if (given.trim() !== '' && Number.isFinite(value)) return value;
  throw new InputError('invalid_spec', `--${option} must be a number or "default", not ${JSON.stringify(given)}`);
}

function changes(options: TeamOptions): object {
  const weight = limit('weight', options.weight);
  if (weight === null) throw new InputError('invalid_spec', '--weight must be a number');
  const limits = {
    running_tasks: limit('running-tasks', options.runningTasks),
    queued_jobs: limit('queued-jobs', options.queuedJobs),
    storage_bytes: limit('storage-bytes', options.storageBytes),
    requests_per_minute: limit('requests-per-minute', options.requestsPerMinute),
  };
  // What is undefined is left out of the JSON.
  return {
    name: options.name,
    weight,
    ...(Object.values(limits).some((value) => value !== undefined) ? { limits } : {}),
  };
}

function showTeam({ id, name, weight, limits }: Team): void {
  const own = Object.entries(limits).flatMap(([key, value]) => (value === null ? [] : [`${key} ${value}`]));
  print(`${id}  ${name}  weight ${weight}${own.length === 0 ? '' : `  ${own.join(', ')}`}`);
}

export async function listTeams(options: Common & { limit: string }): Promise<void> {
  const client = await connect(options);
  const page = await client.call<{ data: Team[]; has_more: boolean }>('GET', `/teams?limit=${options.limit}`);
  if (options.json) {
    printJson(page);
    return;
  }
  page.data.forEach(showTeam);
  if (page.has_more) print('(there are more: --limit)');
}

export async function createTeam(name: string, options: TeamOptions): Promise<void> {
  const client = await connect(options);
  const team = await client.call<Team>('POST', '/teams', { ...changes(options), name });
  if (options.json) printJson(team);
  else print(team.id);
}

export async function setTeam(id: string, options: TeamOptions): Promise<void> {
  const client = await connect(options);
  const team = await client.call<Team>('PATCH', `/teams/${encodeURIComponent(id)}`, changes(options));
  if (options.json) printJson(team);
  else showTeam(team);
}

const keysOf = (team: string) => `/teams/${encodeURIComponent(team)}/keys`;

export async function listKeys(options: Common & { team: string; limit: string }): Promise<void> {
  const client = await connect(options);
  const page = await client.call<{ data: Key[]; has_more: boolean }>(
    'GET',
    `${keysOf(options.team)}?limit=${options.limit}`,
  );
  if (options.json) {
    printJson(page);
    return;
  }
  for (const key of page.data) {
    const state = key.revoked_at === null ? `used ${key.last_used_at ?? 'never'}` : `revoked ${key.revoked_at}`;
    const until = key.expires_at === null ? '' : `  until ${key.expires_at}`;
    print(`${key.id}  ${key.prefix}…  ${key.name}  ${key.scopes.join(',')}  ${state}${until}`);
  }
  if (page.has_more) print('(there are more: --limit)');
}

/** The key alone on standard output: for a secret store, not for a log. */
export async function createKey(
  name: string,
  options: Common & { team: string; scope: string[]; expires?: string },
): Promise<void> {
  const client = await connect(options);
  const key = await client.call<Key & { key: string }>('POST', keysOf(options.team), {
    name,
    scopes: options.scope.length > 0 ? options.scope : ['jobs:read', 'jobs:write'],
    expires_at: options.expires,
  });
  if (options.json) printJson(key);
  else print(key.key);
}

export async function revokeKey(id: string, options: Common & { team: string }): Promise<void> {
  const client = await connect(options);
  const key = await client.call<Key>('DELETE', `${keysOf(options.team)}/${encodeURIComponent(id)}`);
  if (options.json) printJson(key);
  else print(`${key.id} revoked`);
}

export async function showUsage(
  options: Common & { from?: string; to?: string; by: string; label?: string; team?: string },
): Promise<void> {
  const client = await connect(options);
  const query = new URLSearchParams({ by: options.by, format: options.json ? 'json' : 'csv' });
  for (const name of ['from', 'to', 'label', 'team'] as const) {
    const value = options[name];
    if (value !== undefined) query.set(name, value);
  }
  if (options.json) printJson(await client.call('GET', `/usage?${query.toString()}`));
  else process.stdout.write(await client.text(`/usage?${query.toString()}`));
}
