import type { DatabaseContext } from '../connection/context.js';
import { newId } from '../connection/ids.js';
import type { WebhookRepository } from '../repositories.js';

export function rotateSecret({ transaction }: DatabaseContext): WebhookRepository['rotateSecret'] {
  return (teamId, secret, overlapSeconds) =>
    transaction(async (tx) => {
      await tx.$queryRaw`select id from teams where id = ${teamId} for no key update`;
      await tx.$executeRaw`delete from webhook_secrets where team_id = ${teamId} and expires_at < clock_timestamp()`;
      await tx.$executeRaw`
        update webhook_secrets set expires_at = clock_timestamp() + make_interval(secs => ${overlapSeconds})
        where team_id = ${teamId} and expires_at is null`;
      await tx.$executeRaw`
        insert into webhook_secrets (id, team_id, secret, created_at) values (${newId('whs')}, ${teamId}, ${secret}, clock_timestamp())`;
    });
}
