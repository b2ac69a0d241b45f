import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors/index.js';
import type { ServiceClient } from '../client.js';
import { connect, type ConnectionOptions } from '../connection.js';
import { EXIT } from '../exit-codes.js';
import { follow } from '../display/follow.js';
import { concludeJob, displayFor, note, print, printJson } from '../display/output.js';
import { specFrom, type SpecOptions } from '../spec-options.js';
import { untilSignal } from '../until-signal.js';

export interface JobOptions extends ConnectionOptions {
  json: boolean;
}

export interface SubmitOptions extends JobOptions, SpecOptions {
  calibration: string;
  evaluation?: string;
  priority?: string;
  idempotencyKey?: string;
  wait: boolean;
}

export async function submit(model: string, options: SubmitOptions): Promise<void> {
  const client = await connect(options);
  const source = async (path: string) => ({ upload: await client.upload(path) });
  const spec = specFrom(options, {
    model: await source(model),
    calibration: await source(options.calibration),
    ...(options.evaluation === undefined ? {} : { evaluation: await source(options.evaluation) }),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
  });
  const job = await client.submit(spec, options.idempotencyKey);
  if (options.wait) await followToEnd(client, job.id, options);
  else if (options.json) printJson(job);
  else print(job.id);
}

export async function watch(id: string, options: JobOptions): Promise<void> {
  await followToEnd(await connect(options), id, options);
}

async function followToEnd(client: ServiceClient, id: string, { json }: JobOptions): Promise<void> {
  const interrupted = new AbortController();
  void untilSignal().then(() => interrupted.abort());
  try {
    concludeJob(await follow(client, id, displayFor(json), interrupted.signal), json);
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    note(`interrupted; the job goes on: sparank watch ${id}`);
    process.exitCode = EXIT.interrupted;
  }
}

export async function listJobs(
  options: JobOptions & { status?: string; limit: string; label: string[] },
): Promise<void> {
  const client = await connect(options);
  const query: Record<string, string> = { limit: options.limit };
  if (options.status !== undefined) query['status'] = options.status;
  for (const label of options.label) {
    const [name = '', ...rest] = label.split('=');
    query[`label.${name}`] = rest.join('=');
  }
  const page = await client.jobs(query);
  if (options.json) {
    printJson(page);
    return;
  }
  for (const job of page.data) {
    const percent = `${Math.round(job.progress.fraction * 100)} %`.padStart(5);
    print(`${job.id}  ${job.status.padEnd(9)}  ${percent}  ${job.created_at}`);
  }
  if (page.has_more) print('(there are more: --limit)');
}

export async function get(id: string, options: JobOptions & { output: string }): Promise<void> {
  const client = await connect(options);
  const found = await client.job(id);
  const artifacts = found?.job.artifacts ?? [];
  if (artifacts.length === 0)
    throw new InputError('conflict', `${id} has no artifacts (${found?.job.status ?? 'unknown'})`);
  await mkdir(options.output, { recursive: true });
  const files = artifacts.map((artifact) => ({ artifact, path: join(options.output, artifact.name) }));
  for (const { artifact, path } of files) await client.download(artifact, path);
  if (options.json) printJson(files.map(({ artifact, path }) => ({ ...artifact, path })));
  else for (const { path } of files) print(path);
}

export async function act(id: string, action: 'cancel' | 'retry', options: JobOptions): Promise<void> {
  const client = await connect(options);
  const job = await client.act(id, action);
  if (options.json) printJson(job);
  else print(`${job.id} ${job.status}`);
}
