import { randomUUID } from 'node:crypto';
import { InputError } from '../../errors/index.js';
import type { WebhookType } from '../../jobs/webhook.js';
import type { DatabaseContext } from '../connection/context.js';
import type { WebhookDelivery } from '../generated/client.js';
import { newId } from '../connection/ids.js';
import type { DeliveryRecord } from '../records.js';
import type { WebhookRepository } from '../repositories.js';
import { readEnded } from '../jobs/webhook-outbox.js';

/** Messages of one team that may be on their way at once: an endpoint that hangs does not hold up other teams. */
const TEAM_IN_FLIGHT = 8;

const deliveryRecord = ({
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

interface ClaimedRow {
  id: string;
  teamId: string;
  jobId: string;
  url: string;
  type: WebhookType;
  createdAt: Date;
  payload: string;
  tries: number;
  secrets: string[];
}

export const webhookRepository = ({ prisma, transaction }: DatabaseContext): WebhookRepository => ({
  async secretInfo(teamId) {
    const [newest, previous] = await prisma.webhookSecret.findMany({
      where: { teamId, OR: [{ expiresAt: null }, { expiresAt: { gt: new Date() } }] },
      orderBy: { createdAt: 'desc' },
      take: 2,
    });
    return newest === undefined ? null : { createdAt: newest.createdAt, previousUntil: previous?.expiresAt ?? null };
  },

  rotateSecret: (teamId, secret, overlapSeconds) =>
    transaction(async (tx) => {
      await tx.$queryRaw`select id from teams where id = ${teamId} for no key update`;
      await tx.$executeRaw`delete from webhook_secrets where team_id = ${teamId} and expires_at < clock_timestamp()`;
      await tx.$executeRaw`
        update webhook_secrets set expires_at = clock_timestamp() + make_interval(secs => ${overlapSeconds})
        where team_id = ${teamId} and expires_at is null`;
      await tx.$executeRaw`
        insert into webhook_secrets (id, team_id, secret, created_at) values (${newId('whs')}, ${teamId}, ${secret}, clock_timestamp())`;
    }),

  async list(teamId, { limit, after, jobId, state }) {
    const last =
      after === undefined ? undefined : await prisma.webhookDelivery.findUnique({ where: { id: after, teamId } });
    if (last === null) return null;
    const rows = await prisma.webhookDelivery.findMany({
      where: {
        teamId,
        ...(jobId === undefined ? {} : { jobId }),
        ...(state === undefined ? {} : { state }),
        ...(last === undefined ? {} : { seq: { lt: last.seq } }),
      },
      orderBy: { seq: 'desc' },
      take: limit + 1,
    });
    return { data: rows.slice(0, limit).map(deliveryRecord), hasMore: rows.length > limit };
  },

  async get(teamId, deliveryId) {
    const found = await prisma.webhookDelivery.findUnique({
      where: { id: deliveryId, teamId },
      include: { log: { orderBy: { id: 'asc' } } },
    });
    if (found === null) return null;
    const log = found.log.map(({ id: _, deliveryId: _delivery, ...attempt }) => attempt);
    return { delivery: deliveryRecord(found), log };
  },

  replay: (teamId, deliveryId) =>
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
    }),

  disabledEndpoints: (teamId) =>
    prisma.webhookEndpoint.findMany({
      where: { teamId },
      select: { url: true, disabledAt: true },
      orderBy: { disabledAt: 'desc' },
    }),

  async enableEndpoint(teamId, url) {
    return (await prisma.webhookEndpoint.deleteMany({ where: { teamId, url } })).count > 0;
  },

  async claim(limit, leaseSeconds) {
    const token = randomUUID();
    // The outer condition is looked at again after waiting for another claim of the same row.
    const rows = await prisma.$queryRaw<ClaimedRow[]>`
      with claimed as (
        update webhook_deliveries d set claim_token = ${token},
          lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds})
        where d.state = 'pending' and d.next_at <= clock_timestamp()
          and (d.lease_until is null or d.lease_until < clock_timestamp())
          and d.id in (
            select due.id from (select id from teams) team cross join lateral (
              select id, next_at from webhook_deliveries o
              where o.team_id = team.id and o.state = 'pending' and o.next_at <= clock_timestamp()
                and (o.lease_until is null or o.lease_until < clock_timestamp())
              order by next_at
              limit greatest(0, ${TEAM_IN_FLIGHT} - (
                select count(*)::int from webhook_deliveries f
                where f.team_id = team.id and f.state = 'pending' and f.lease_until > clock_timestamp()))
            ) due order by due.next_at limit ${limit})
        returning d.*
      )
      select id, team_id as "teamId", job_id as "jobId", url, type, created_at as "createdAt", payload, tries,
        array(select secret from webhook_secrets s where s.team_id = claimed.team_id
              and (s.expires_at is null or s.expires_at > clock_timestamp()) order by s.created_at desc) as secrets
      from claimed order by next_at`;
    return rows.map(({ payload, ...row }) => ({ ...row, token, ended: readEnded(payload) }));
  },

  record: ({ id, token }, attempt, { verdict, retryInSeconds }) =>
    transaction(async (tx) => {
      const state =
        verdict === 'delivered'
          ? 'delivered'
          : verdict === 'gone'
            ? 'disabled'
            : retryInSeconds === null
              ? 'failed'
              : 'pending';
      const [mine] = await tx.$queryRaw<{ teamId: string; url: string }[]>`
        update webhook_deliveries set state = ${state}::delivery_state, attempts = attempts + 1, tries = tries + 1,
          next_at = case when ${state} = 'pending' then clock_timestamp() + make_interval(secs => ${retryInSeconds ?? 0}) end,
          finished_at = case when ${state} = 'pending' then null else clock_timestamp() end,
          claim_token = null, lease_until = null
        where id = ${id} and claim_token = ${token} returning team_id as "teamId", url`;
      if (mine === undefined) return false;
      await tx.webhookAttempt.create({ data: { deliveryId: id, ...attempt } });
      if (verdict === 'gone') await disable(mine.teamId, mine.url);
      return true;

      async function disable(teamId: string, url: string): Promise<void> {
        await tx.webhookEndpoint.createMany({ data: [{ teamId, url }], skipDuplicates: true });
        await tx.$executeRaw`
          update webhook_deliveries set state = 'disabled', next_at = null, finished_at = clock_timestamp(),
            claim_token = null, lease_until = null
          where team_id = ${teamId} and url = ${url} and state = 'pending'`;
      }
    }),
});
