import type { ClaimedDelivery } from '../../database/records.js';
import { presentJob } from '../jobs/schema.js';

/** What an endpoint is sent; the same text at every attempt. */
export function webhookBody({ type, createdAt, ended }: Pick<ClaimedDelivery, 'type' | 'createdAt' | 'ended'>): string {
  return JSON.stringify({
    type,
    timestamp: createdAt.toISOString(),
    data: presentJob(ended.job, null, ended.artifacts),
  });
}
