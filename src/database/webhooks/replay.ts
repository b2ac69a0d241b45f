import { InputError } from '../../errors/index.js';
import type { DatabaseContext } from '../connection/context.js';
import type { WebhookRepository } from '../repositories.js';
import { deliveryRecord } from './delivery-record.js';

export function replay({ transaction }: DatabaseContext): WebhookRepository['replay'] {
  return (teamId, deliveryId) =>
    transaction(async (tx) => {
      const found = await tx.webhookDelivery.findUnique({ where: { id: deliveryId, teamId } });
      if (found === null) return null;
      if ((await tx.webhookEndpoint.count({ where: { teamId, url: found.url } })) > 0) {
        throw new InputError('conflict', 'the endpoint said 410 Gone and is disabled; enable it first');
      }
      // An attempt that is under way loses its claim, so that its end does not undo the replay.
      await tx.$executeRaw`
        update webhook_deliveries set state = 'pending', tries = 0, next_at = clock_timestamp(), finished_at = null,
          lease_until = null, claim_token = null
        where id = ${deliveryId}`;
      await tx.$executeRaw`select pg_notify('sparank', 'webhooks')`;
      return deliveryRecord(await tx.webhookDelivery.findUniqueOrThrow({ where: { id: deliveryId } }));
    });
}
