import { InputError } from '../../errors/index.js';
import type { components } from '../../client/index.js';
import { bodyOf, connect, given, type ConnectionOptions } from '../connection.js';
import { print, printJson } from '../display/output.js';

interface Common extends ConnectionOptions {
  json: boolean;
}

type Team = components['schemas']['Team'];
type Scopes = components['schemas']['ApiKey']['scopes'];

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

function changes(options: TeamOptions) {
  const weight = limit('weight', options.weight);
  if (weight === null) throw new InputError('invalid_spec', '--weight must be a number');
  const limits = given({
    running_tasks: limit('running-tasks', options.runningTasks),
    queued_jobs: limit('queued-jobs', options.queuedJobs),
    storage_bytes: limit('storage-bytes', options.storageBytes),
    requests_per_minute: limit('requests-per-minute', options.requestsPerMinute),
  });
  return given({ name: options.name, weight, limits: Object.keys(limits).length > 0 ? limits : undefined });
}

function showTeam({ id, name, weight, limits }: Team): void {
  const own = Object.entries(limits).flatMap(([key, value]) => (value === null ? [] : [`${key} ${value}`]));
  print(`${id}  ${name}  weight ${weight}${own.length === 0 ? '' : `  ${own.join(', ')}`}`);
}

export async function listTeams(options: Common & { limit: string }): Promise<void> {
  const client = await connect(options);
  const page = bodyOf(await client.api.GET('/teams', { params: { query: { limit: Number(options.limit) } } }));
  if (options.json) {
    printJson(page);
    return;
  }
  page.data.forEach(showTeam);
  if (page.has_more) print('(there are more: --limit)');
}

export async function createTeam(name: string, options: TeamOptions): Promise<void> {
  const client = await connect(options);
  const team = bodyOf(await client.api.POST('/teams', { body: { ...changes(options), name } }));
  if (options.json) printJson(team);
  else print(team.id);
}

export async function setTeam(id: string, options: TeamOptions): Promise<void> {
  const client = await connect(options);
  const team = bodyOf(await client.api.PATCH('/teams/{id}', { params: { path: { id } }, body: changes(options) }));
  if (options.json) printJson(team);
  else showTeam(team);
}

export async function listKeys(options: Common & { team: string; limit: string }): Promise<void> {
  const client = await connect(options);
  const page = bodyOf(
    await client.api.GET('/teams/{id}/keys', {
      params: { path: { id: options.team }, query: { limit: Number(options.limit) } },
    }),
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
  const key = bodyOf(
    await client.api.POST('/teams/{id}/keys', {
      params: { path: { id: options.team } },
      body: {
        name,
        // A scope that there is not is refused by the service, with all that there are.
        scopes: (options.scope.length > 0 ? options.scope : ['jobs:read', 'jobs:write']) as Scopes,
        ...(options.expires === undefined ? {} : { expires_at: options.expires }),
      },
    }),
  );
  if (options.json) printJson(key);
  else print(key.key);
}

export async function revokeKey(id: string, options: Common & { team: string }): Promise<void> {
  const client = await connect(options);
  const key = bodyOf(
    await client.api.DELETE('/teams/{id}/keys/{key_id}', { params: { path: { id: options.team, key_id: id } } }),
  );
  if (options.json) printJson(key);
  else print(`${key.id} revoked`);
}

export async function showUsage(
  options: Common & { from?: string; to?: string; by: string; label?: string; team?: string },
): Promise<void> {
  const client = await connect(options);
  const { by, from, to, label, team } = options;
  const wanted = { by, ...given({ from, to, label, team }) };
  if (options.json) printJson(bodyOf(await client.api.GET('/usage', { params: { query: wanted } })));
  else {
    const query = { ...wanted, format: 'csv' as const };
    process.stdout.write(bodyOf(await client.api.GET('/usage', { params: { query }, parseAs: 'text' })));
  }
}
