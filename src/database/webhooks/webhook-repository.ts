import type { DatabaseContext } from '../connection/context.js';
import type { WebhookRepository } from '../repositories.js';
import { claim } from './claim.js';
import { deliveryRecord } from './delivery-record.js';
import { record } from './record.js';
import { replay } from './replay.js';
import { rotateSecret } from './rotate-secret.js';

export const webhookRepository = (context: DatabaseContext): WebhookRepository => ({
  ...reads(context),
  rotateSecret: rotateSecret(context),
  replay: replay(context),
  claim: claim(context),
  record: record(context),

  async enableEndpoint(teamId, url) {
    return (await context.prisma.webhookEndpoint.deleteMany({ where: { teamId, url } })).count > 0;
  },
});

const reads = ({
  prisma,
}: DatabaseContext): Pick<WebhookRepository, 'secretInfo' | 'list' | 'get' | 'disabledEndpoints'> => ({
  async secretInfo(teamId) {
    const [newest, previous] = await prisma.webhookSecret.findMany({
      where: { teamId, OR: [{ expiresAt: null }, { expiresAt: { gt: new Date() } }] },
      orderBy: { createdAt: 'desc' },
      take: 2,
    });
    return newest === undefined ? null : { createdAt: newest.createdAt, previousUntil: previous?.expiresAt ?? null };
  },

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

  disabledEndpoints: (teamId) =>
    prisma.webhookEndpoint.findMany({
      where: { teamId },
      select: { url: true, disabledAt: true },
      orderBy: { disabledAt: 'desc' },
    }),
});
