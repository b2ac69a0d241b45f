import { Type, type Static } from 'typebox';
import { DELIVERY_STATES, type DeliveryRecord } from '../../database/records.js';
import { Nullable, Time } from '../schemas.js';

export const DeliverySchema = Type.Object(
  {
    id: Type.String({ description: 'the `webhook-id`, the same at every attempt' }),
    object: Type.Literal('webhook_delivery'),
    job_id: Type.String(),
    url: Type.String(),
    type: Type.String(),
    state: Type.Enum([...DELIVERY_STATES], {
      description: 'failed: given up after the last attempt; disabled: the endpoint said 410 Gone',
    }),
    attempts: Type.Integer(),
    next_attempt_at: Nullable(Time),
    created_at: Time,
    finished_at: Nullable(Time),
  },
  { $id: 'WebhookDelivery' },
);

export const presentDelivery = (delivery: DeliveryRecord): Static<typeof DeliverySchema> => ({
  id: delivery.id,
  object: 'webhook_delivery',
  job_id: delivery.jobId,
  url: delivery.url,
  type: delivery.type,
  state: delivery.state,
  attempts: delivery.attempts,
  next_attempt_at: delivery.nextAt?.toISOString() ?? null,
  created_at: delivery.createdAt.toISOString(),
  finished_at: delivery.finishedAt?.toISOString() ?? null,
});
