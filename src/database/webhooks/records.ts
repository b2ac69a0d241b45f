import type { WebhookType } from '../../jobs/webhook.js';
import type { JobRecord } from '../jobs/records.js';
import type { ArtifactRecord } from '../ledger/records.js';

export const DELIVERY_STATES = ['pending', 'delivered', 'failed', 'disabled'] as const;

export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** A message about a job's end on its way to an endpoint. */
export interface DeliveryRecord {
  /** The `webhook-id`, the same at every attempt. */
  id: string;
  teamId: string;
  jobId: string;
  url: string;
  type: WebhookType;
  state: DeliveryState;
  attempts: number;
  nextAt: Date | null;
  createdAt: Date;
  finishedAt: Date | null;
}

export interface DeliveryAttempt {
  at: Date;
  /** Null when there was no answer; then `error` says why. */
  status: number | null;
  error: string | null;
  durationMs: number;
  /** The beginning of the answer. */
  snippet: string | null;
}

/** A job as it was when it ended. */
export interface EndedJob {
  job: JobRecord;
  artifacts: ArtifactRecord[];
}

export interface ClaimedDelivery {
  id: string;
  teamId: string;
  jobId: string;
  url: string;
  type: WebhookType;
  /** When the job ended. */
  createdAt: Date;
  ended: EndedJob;
  /** Failed attempts before this one. */
  tries: number;
  /** Fencing token of this claim. */
  token: string;
  /** All secrets that sign now, the newest first. */
  secrets: string[];
}
