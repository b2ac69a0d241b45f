import type { WebhookType } from '../../jobs/webhook.js';
import type { Tx } from '../connection/context.js';
import { newId } from '../connection/ids.js';
import { jobRecord } from './job-record.js';
import { artifactRecord } from '../ledger/ledger-repositories.js';
import type { EndedJob } from '../records.js';

/**
 * The message about a job's end, recorded by the transaction that ends it: either both are there or neither. It holds
 * the job as it is at this moment, since a retry may change it before the message is delivered.
 */
export async function addDelivery(tx: Tx, jobId: string, type: WebhookType): Promise<void> {
  const row = await tx.job.findUniqueOrThrow({ where: { id: jobId } });
  const job = jobRecord(row);
  const url = job.spec.webhook?.url;
  if (url === undefined) return;
  const artifacts = await tx.artifact.findMany({ where: { jobId }, orderBy: { name: 'asc' } });
  const ended: EndedJob = { job, artifacts: artifacts.map(artifactRecord) };
  const disabled = (await tx.webhookEndpoint.count({ where: { teamId: row.teamId, url } })) > 0;
  await tx.webhookDelivery.create({
    data: {
      id: newId('msg'),
      teamId: row.teamId,
      jobId,
      url,
      type,
      payload: JSON.stringify(ended),
      ...(disabled ? { state: 'disabled' as const, nextAt: null, finishedAt: new Date() } : {}),
    },
  });
  await tx.$executeRaw`select pg_notify('sparank', 'webhooks')`;
}

type Plain<T> = { [K in keyof T]: T[K] extends Date ? string : T[K] extends Date | null ? string | null : T[K] };

/** Turns the text back into records: JSON knows no dates. */
export function readEnded(payload: string): EndedJob {
  const { job, artifacts } = JSON.parse(payload) as {
    job: Plain<EndedJob['job']>;
    artifacts: Plain<EndedJob['artifacts'][number]>[];
  };
  const date = (text: string | null) => (text === null ? null : new Date(text));
  return {
    job: {
      ...job,
      createdAt: new Date(job.createdAt),
      startedAt: date(job.startedAt),
      finishedAt: date(job.finishedAt),
    },
    artifacts: artifacts.map((artifact) => ({
      ...artifact,
      createdAt: new Date(artifact.createdAt),
      expiresAt: new Date(artifact.expiresAt),
    })),
  };
}
