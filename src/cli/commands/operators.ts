import type { components } from '../../client/index.js';
import { bodyOf, connect, given, type ConnectionOptions } from '../connection.js';
import { print, printJson } from '../display/output.js';

interface Common extends ConnectionOptions {
  json: boolean;
}

type Status = components['schemas']['Job']['status'];
type Worker = components['schemas']['Worker'];

const showMore = ({ has_more, next }: { has_more: boolean; next: string | null }) =>
  has_more ? print(`(there are more: --limit, or --after ${next ?? ''})`) : undefined;

export async function listAllJobs(
  options: Common & { team?: string; status?: string; limit: string; after?: string },
): Promise<void> {
  const { team, limit, after } = options;
  // One that there is not is refused by the service, with all that there are.
  const status = options.status?.split(',') as Status[] | undefined;
  const client = await connect(options);
  const page = bodyOf(
    await client.api.GET('/admin/jobs', {
      params: { query: given({ team, status, limit: Number(limit), after }) },
    }),
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
  printJson(bodyOf(await client.api.GET('/admin/jobs/{id}', { params: { path: { id } } })));
}

export async function cancelAnyJob(id: string, options: Common): Promise<void> {
  const client = await connect(options);
  const job = bodyOf(await client.api.POST('/admin/jobs/{id}/cancel', { params: { path: { id } } }));
  if (options.json) printJson(job);
  else print(`${job.id} ${job.status}`);
}

export async function showAudit(
  options: Common & { team?: string; action?: string; subject?: string; limit: string; after?: string },
): Promise<void> {
  const { team, action, subject, limit, after } = options;
  const client = await connect(options);
  const query = given({ team, action, subject, limit: Number(limit), after });
  const page = bodyOf(await client.api.GET('/admin/audit', { params: { query } }));
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
  const { workers } = bodyOf(await client.api.GET('/pool'));
  if (options.json) printJson(workers);
  else workers.forEach(showWorker);
}

export async function drainWorker(id: string, options: Common & { undo: boolean }): Promise<void> {
  const client = await connect(options);
  const params = { path: { id } };
  const worker = bodyOf(
    options.undo
      ? await client.api.DELETE('/admin/workers/{id}/drain', { params })
      : await client.api.POST('/admin/workers/{id}/drain', { params }),
  );
  if (options.json) printJson(worker);
  else showWorker(worker);
}

export async function removeTeam(id: string, options: Common & { cancelJobs: boolean }): Promise<void> {
  const client = await connect(options);
  await client.api.DELETE('/teams/{id}', { params: { path: { id }, query: { cancel_jobs: options.cancelJobs } } });
  if (options.json) printJson({ id, removed: true });
  else print(`${id} removed`);
}
