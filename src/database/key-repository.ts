import type { DatabaseContext } from './context.js';
import type { ApiKey } from './generated/client.js';
import { newId } from './ids.js';
import type { KeyRecord, Scope } from './records.js';
import type { KeyRepository } from './repositories.js';

const TOUCH_INTERVAL_MS = 60_000;

const keyRecord = ({ hash: _, scopes, ...key }: ApiKey): KeyRecord => ({ ...key, scopes: scopes as Scope[] });

export const keyRepository = ({ prisma }: DatabaseContext): KeyRepository => ({
  async findByHash(hash) {
    const key = await prisma.apiKey.findUnique({ where: { hash } });
    const usable = key !== null && key.revokedAt === null && (key.expiresAt === null || key.expiresAt > new Date());
    return usable ? keyRecord(key) : null;
  },

  async create(teamId, { hash, prefix, name, scopes, expiresAt }) {
    const data = { id: newId('key'), teamId, hash, prefix, name, scopes, expiresAt: expiresAt ?? null };
    await prisma.apiKey.createMany({ data: [data], skipDuplicates: true });
    return keyRecord(await prisma.apiKey.findUniqueOrThrow({ where: { hash, teamId } }));
  },

  async list(teamId) {
    const keys = await prisma.apiKey.findMany({ where: { teamId }, orderBy: { createdAt: 'asc' } });
    return keys.map(keyRecord);
  },

  async revoke(teamId, keyId) {
    await prisma.apiKey.updateMany({ where: { id: keyId, teamId, revokedAt: null }, data: { revokedAt: new Date() } });
    const key = await prisma.apiKey.findUnique({ where: { id: keyId, teamId } });
    return key === null ? null : keyRecord(key);
  },

  async touch(keyId) {
    const now = Date.now();
    await prisma.apiKey.updateMany({
      where: { id: keyId, OR: [{ lastUsedAt: null }, { lastUsedAt: { lt: new Date(now - TOUCH_INTERVAL_MS) } }] },
      data: { lastUsedAt: new Date(now) },
    });
  },
});
