import type { JobView } from '../../api/jobs/schema.js';
import { connect, type ConnectionOptions } from '../connection.js';
import { print, printJson } from '../display/output.js';

interface Common extends ConnectionOptions {
  json: boolean;
}

interface Page<T> {
  data: T[];
  has_more: boolean;
  next: string | null;
}

interface Worker {
  id: string;
  engine: string;
  class: string | null;
  busy_with: { job_id: string | null; team_id: string | null; task: string; layer: number | null } | null;
  draining_since: string | null;
}

interface Entry {
  at: string;
  action: string;
  actor: { key_prefix: string; team_id: string } | null;
  team_id: string | null;
  subject: string;
}

const part = encodeURIComponent;

function queryOf(given: Record<string, string | undefined>): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(given)) if (value !== undefined) query.set(name, value);
  return query;
}

const showMore = ({ has_more, next }: Pick<Page<unknown>, 'has_more' | 'next'>) =>
  has_more ? print(`(there are more: --limit, or --after ${next ?? ''})`) : undefined;

export async function listAllJobs(
  options: Common & { team?: string; status?: string; limit: string; after?: string },
): Promise<void> {
  const { team, status, limit, after } = options;
  const client = await connect(options);
  const page = await client.call<Page<JobView>>(
    'GET',
    `/admin/jobs?${queryOf({ team, status, limit, after }).toString()}`,
  );
  if (options.json) {
    printJson(page);
    return;
  }
  for (const { id, team_id, status: state, progress, created_at } of page.data) {
    const percent = `${Math.round(progress.fraction * 100)} %`.padStart(5);
    print(`${id}  ${team_id}  ${state.padEnd(9)}  ${percent}  ${created_at}`);
  }
  showMore(page);
}

export async function showAnyJob(id: string, options: Common): Promise<void> {
  const client = await connect(options);
  printJson(await client.call('GET', `/admin/jobs/${part(id)}`));
}

export async function cancelAnyJob(id: string, options: Common): Promise<void> {
  const client = await connect(options);
  const job = await client.call<JobView>('POST', `/admin/jobs/${part(id)}/cancel`);
  if (options.json) printJson(job);
  else print(`${job.id} ${job.status}`);
}

export async function showAudit(
  options: Common & { team?: string; action?: string; subject?: string; limit: string; after?: string },
): Promise<void> {
  const { team, action, subject, limit, after } = options;
  const client = await connect(options);
  const query = queryOf({ team, action, subject, limit, after });
  const page = await client.call<Page<Entry>>('GET', `/admin/audit?${query.toString()}`);
  if (options.json) {
    printJson(page);
    return;
  }
  for (const entry of page.data) {
    const who = entry.actor === null ? 'the service' : `${entry.actor.key_prefix}… of ${entry.actor.team_id}`;
    const team = entry.team_id === null || entry.team_id === entry.subject ? '' : `  (${entry.team_id})`;
    print(`${entry.at}  ${entry.action.padEnd(16)}  ${entry.subject}${team}  by ${who}`);
  }
  showMore(page);
}

function showWorker({ id, engine, class: label, busy_with: busy, draining_since }: Worker): void {
  const what = busy === null ? 'idle' : `${busy.task} of ${busy.job_id ?? 'another team'}`;
  const draining = draining_since === null ? '' : `  draining since ${draining_since}`;
  print(`${id}  ${[engine, label].filter((one) => one !== null).join(' ')}  ${what}${draining}`);
}

export async function listWorkers(options: Common): Promise<void> {
  const client = await connect(options);
  const { workers } = await client.call<{ workers: Worker[] }>('GET', '/pool');
  if (options.json) printJson(workers);
  else workers.forEach(showWorker);
}

export async function drainWorker(id: string, options: Common & { undo: boolean }): Promise<void> {
  const client = await connect(options);
  const worker = await client.call<Worker>(options.undo ? 'DELETE' : 'POST', `/admin/workers/${part(id)}/drain`);
  if (options.json) printJson(worker);
  else showWorker(worker);
}

export async function removeTeam(id: string, options: Common & { cancelJobs: boolean }): Promise<void> {
  const client = await connect(options);
  await client.send('DELETE', `/teams/${part(id)}?${queryOf({ cancel_jobs: String(options.cancelJobs) }).toString()}`);
  if (options.json) printJson({ id, removed: true });
  else print(`${id} removed`);
}
