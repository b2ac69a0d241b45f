import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors/index.js';
import type { Artifact, JobSpec, Sparank } from '../../client/node/index.js';
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
  output?: string;
}

interface FollowOptions {
  json: boolean;
  /** Where the artifacts go once the job has ended. */
  output?: string;
}

export async function submit(model: string, options: SubmitOptions): Promise<void> {
  // Files are large and pipelines run at night: here a service that is away for a moment is waited for.
  const client = await connect(options, {});
  const spec = specFrom(options, {
    model: await client.upload(model),
    calibration: await client.upload(options.calibration),
    ...(options.evaluation === undefined ? {} : { evaluation: await client.upload(options.evaluation) }),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
  });
  // What the options do not know, the service refuses with a pointer.
  const job = await client.jobs.submit(spec as JobSpec, { idempotencyKey: options.idempotencyKey });
  if (options.wait || options.output !== undefined) await followToEnd(client, job.id, options);
  else if (options.json) printJson(job.view);
  else print(job.id);
}

export async function watch(id: string, options: JobOptions): Promise<void> {
  await followToEnd(await connect(options), id, options);
}

async function followToEnd(client: Sparank, id: string, { json, output }: FollowOptions): Promise<void> {
  const interrupted = new AbortController();
  void untilSignal().then(() => interrupted.abort());
  try {
    const job = await follow(client, id, displayFor(json), interrupted.signal);
    const files = output === undefined ? [] : await downloadAll(client, job.artifacts, output);
    concludeJob(job, json);
    if (files.length > 0 && !json) print(`written to  ${files.map(({ path }) => path).join(', ')}`);
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    note(`interrupted; the job goes on: sparank watch ${id}`);
    process.exitCode = EXIT.interrupted;
  }
}

async function downloadAll(client: Sparank, artifacts: Artifact[], output: string) {
  await mkdir(output, { recursive: true });
  const files = artifacts.map((artifact) => ({ artifact, path: join(output, artifact.name) }));
  for (const { artifact, path } of files) await client.jobs.save(artifact, path);
  return files;
}

export async function listJobs(
  options: JobOptions & { status?: string; limit: string; label: string[] },
): Promise<void> {
  const client = await connect(options);
  const labels = Object.fromEntries(
    options.label.map((label) => {
      const [name = '', ...rest] = label.split('=');
      return [name, rest.join('=')];
    }),
  );
  const page = await client.jobs.page({
    limit: options.limit,
    labels,
    ...(options.status === undefined ? {} : { status: options.status }),
  });
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
  const { artifacts, status } = await client.jobs.view(id);
  if (artifacts.length === 0) throw new InputError('conflict', `${id} has no artifacts (${status})`);
  const files = await downloadAll(client, artifacts, options.output);
  if (options.json) printJson(files.map(({ artifact, path }) => ({ ...artifact, path })));
  else for (const { path } of files) print(path);
}

export async function act(id: string, action: 'cancel' | 'retry', options: JobOptions): Promise<void> {
  const client = await connect(options);
  const job = await client.jobs[action](id);
  if (options.json) printJson(job);
  else print(`${job.id} ${job.status}`);
}
