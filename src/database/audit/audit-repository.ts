import type { DatabaseContext, Tx } from '../connection/context.js';
import { Prisma, type AuditEntry } from '../generated/client.js';
import { json } from '../jobs/job-state.js';
import type { Actor, AuditAction, AuditRecord } from '../records.js';
import type { AuditRepository } from '../repositories.js';

export interface Deed {
  action: AuditAction;
  teamId: string | null;
  subject: string;
  detail?: Record<string, unknown>;
}

/** In the transaction of what it tells of: neither is there without the other. */
export async function noteDeed(
  tx: Tx,
  by: Actor | undefined,
  { action, teamId, subject, detail = {} }: Deed,
): Promise<void> {
  await tx.auditEntry.create({
    data: {
      action,
      teamId,
      subject,
      detail: json(detail),
      actorKeyId: by?.keyId ?? null,
      actorKeyPrefix: by?.keyPrefix ?? null,
      actorTeamId: by?.teamId ?? null,
      requestId: by?.requestId ?? null,
      address: by?.address ?? null,
    },
  });
}

const auditRecord = (entry: AuditEntry): AuditRecord => ({
  id: String(entry.seq),
  at: entry.at,
  action: entry.action as AuditAction,
  actor:
    entry.actorKeyId === null
      ? null
      : {
          keyId: entry.actorKeyId,
          keyPrefix: entry.actorKeyPrefix ?? '',
          teamId: entry.actorTeamId ?? '',
          requestId: entry.requestId ?? '',
          address: entry.address ?? '',
        },
  teamId: entry.teamId,
  subject: entry.subject,
  detail: entry.detail as Record<string, unknown>,
});

export const auditRepository = ({ prisma }: DatabaseContext): AuditRepository => ({
  async note(deed, by) {
    await noteDeed(prisma, by, deed);
  },

  async list({ limit, after, teamId, action, subject, createdAfter }) {
    const conditions = [Prisma.sql`true`];
    if (teamId !== undefined) conditions.push(Prisma.sql`team_id = ${teamId}`);
    if (action !== undefined) conditions.push(Prisma.sql`action = any(${action})`);
    if (subject !== undefined) conditions.push(Prisma.sql`subject = ${subject}`);
    if (createdAfter !== undefined) conditions.push(Prisma.sql`at > ${createdAfter}`);
    if (after !== undefined) conditions.push(Prisma.sql`seq < ${BigInt(after)}`);
    const rows = await prisma.$queryRaw<AuditEntry[]>`
      select seq, at, action, actor_key_id as "actorKeyId", actor_key_prefix as "actorKeyPrefix", actor_team_id as "actorTeamId",
        request_id as "requestId", address, team_id as "teamId", subject, detail
      from audit_log where ${Prisma.join(conditions, ' and ')} order by seq desc limit ${limit + 1}`;
    return { data: rows.slice(0, limit).map(auditRecord), hasMore: rows.length > limit };
  },
});
