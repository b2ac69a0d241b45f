import { LRUCache } from 'lru-cache';
import { noteDeed } from '../audit/audit-repository.js';
import type { DatabaseContext } from '../connection/context.js';
import { Prisma, type ApiKey } from '../generated/client.js';
import { newId } from '../connection/ids.js';
import type { KeyRecord, Scope, StoredKey } from '../records.js';
import type { KeyRepository } from '../repositories.js';

const TOUCH_INTERVAL_MS = 60_000;

const keyRecord = ({ hash: _, scopes, ...key }: ApiKey): KeyRecord => ({ ...key, scopes: scopes as Scope[] });

/** Those that open the service now. */
const usable = (prisma: DatabaseContext['prisma'], which: Prisma.Sql): Promise<StoredKey[]> => prisma.$queryRaw`
  select k.id, k.team_id as "teamId", k.prefix, k.name, k.scopes, k.created_at as "createdAt", k.expires_at as "expiresAt",
    k.last_used_at as "lastUsedAt", k.revoked_at as "revokedAt", t.requests_per_minute as "requestsPerMinute", k.hash
  from api_keys k join teams t on t.id = k.team_id
  where ${which} and k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp())`;

/** Noted by this process, whatever is remembered of the key. */
const touchedKeys = () => new LRUCache<string, true>({ max: 10_000, ttl: TOUCH_INTERVAL_MS });

export const keyRepository = ({ prisma, transaction }: DatabaseContext, touched = touchedKeys()): KeyRepository => ({
  async findByHash(hash) {
    const [key] = await usable(prisma, Prisma.sql`k.hash = ${hash}`);
    return key ?? null;
  },

  async findById(keyId) {
    const [key] = await usable(prisma, Prisma.sql`k.id = ${keyId}`);
    return key ?? null;
  },

  findTogether: ({ hashes, ids }) => usable(prisma, Prisma.sql`(k.hash = any(${hashes}) or k.id = any(${ids}))`),

  async create(teamId, { hash, prefix, name, scopes, expiresAt }, by) {
    const data = { id: newId('key'), teamId, hash, prefix, name, scopes, expiresAt: expiresAt ?? null };
    await transaction(async (tx) => {
      const { count } = await tx.apiKey.createMany({ data: [data], skipDuplicates: true });
      if (count === 0) return;
      const detail = { name, prefix, scopes, expires_at: expiresAt?.toISOString() ?? null };
      await noteDeed(tx, by, { action: 'key.created', teamId, subject: data.id, detail });
    });
    return keyRecord(await prisma.apiKey.findUniqueOrThrow({ where: { hash, teamId } }));
  },

  async list(teamId, { after, limit }) {
    const keys = await prisma.apiKey.findMany({
      where: { teamId },
      orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
      take: limit + 1,
      ...(after === undefined ? {} : { cursor: { id: after, teamId }, skip: 1 }),
    });
    return { data: keys.slice(0, limit).map(keyRecord), hasMore: keys.length > limit };
  },

  async get(teamId, keyId) {
    const key = await prisma.apiKey.findUnique({ where: { id: keyId, teamId } });
    return key === null ? null : keyRecord(key);
  },

  async revoke(teamId, keyId, by) {
    await transaction(async (tx) => {
      const where = { id: keyId, teamId, revokedAt: null };
      const { count } = await tx.apiKey.updateMany({ where, data: { revokedAt: new Date() } });
      if (count > 0) await noteDeed(tx, by, { action: 'key.revoked', teamId, subject: keyId });
    });
    const key = await prisma.apiKey.findUnique({ where: { id: keyId, teamId } });
    return key === null ? null : keyRecord(key);
  },

  async touch({ id, lastUsedAt }) {
    const due = new Date(Date.now() - TOUCH_INTERVAL_MS);
    if ((lastUsedAt !== null && lastUsedAt > due) || touched.has(id)) return;
    touched.set(id, true);
    await prisma.apiKey.updateMany({
      where: { id, OR: [{ lastUsedAt: null }, { lastUsedAt: { lt: due } }] },
      data: { lastUsedAt: new Date() },
    });
  },
});
