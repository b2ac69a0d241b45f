import type { DatabaseContext, Tx } from '../connection/context.js';
import type { DeliveryState } from '../records.js';
import type { WebhookRepository } from '../repositories.js';

export function record({ transaction }: DatabaseContext): WebhookRepository['record'] {
  return ({ id, token }, attempt, { verdict, retryInSeconds }) =>
    transaction(async (tx) => {
      const state = stateAfter(verdict, retryInSeconds);
      const [mine] = await tx.$queryRaw<{ teamId: string; url: string }[]>`
        update webhook_deliveries set state = ${state}::delivery_state, attempts = attempts + 1, tries = tries + 1,
          next_at = case when ${state} = 'pending' then clock_timestamp() + make_interval(secs => ${retryInSeconds ?? 0}) end,
          finished_at = case when ${state} = 'pending' then null else clock_timestamp() end,
          claim_token = null, lease_until = null
        where id = ${id} and claim_token = ${token} returning team_id as "teamId", url`;
      if (mine === undefined) return false;
      await tx.webhookAttempt.create({ data: { deliveryId: id, ...attempt } });
      if (verdict === 'gone') await disable(tx, mine);
      return true;
    });
}

function stateAfter(verdict: 'delivered' | 'gone' | 'retry', retryInSeconds: number | null): DeliveryState {
  if (verdict === 'delivered') return 'delivered';
  if (verdict === 'gone') return 'disabled';
  return retryInSeconds === null ? 'failed' : 'pending';
}

/** The endpoint said 410 Gone: it is sent nothing more, what waits for it included. */
async function disable(tx: Tx, { teamId, url }: { teamId: string; url: string }): Promise<void> {
  await tx.webhookEndpoint.createMany({ data: [{ teamId, url }], skipDuplicates: true });
  await tx.$executeRaw`
    update webhook_deliveries set state = 'disabled', next_at = null, finished_at = clock_timestamp(),
      claim_token = null, lease_until = null
    where team_id = ${teamId} and url = ${url} and state = 'pending'`;
}
