import type { WebhookType } from '../../jobs/webhook.js';
import type { WebhookDelivery } from '../generated/client.js';
import type { DeliveryRecord } from '../records.js';

export const deliveryRecord = ({
  id,
  teamId,
  jobId,
  url,
  type,
  state,
  attempts,
  ...times
}: WebhookDelivery): DeliveryRecord => ({
  id,
  teamId,
  jobId,
  url,
  type: type as WebhookType,
  state,
  attempts,
  nextAt: times.nextAt,
  createdAt: times.createdAt,
  finishedAt: times.finishedAt,
});
