import { InputError } from '../errors.js';
import type { DatabaseContext } from './context.js';
import type { Upload } from './generated/client.js';
import { newId } from './ids.js';
import type { UploadRecord } from './records.js';
import type { UploadRepository } from './repositories.js';
import { storageLimit, storedBytes } from './team-repository.js';
import { addUsage } from './usage-repository.js';

const uploadRecord = ({ storageKey, bytes, ...upload }: Upload): UploadRecord => ({
  ...upload,
  key: storageKey,
  bytes: Number(bytes),
});

export const storageFull = (limit: number, stored: number, bytes: number): InputError =>
  new InputError(
    'limit_exceeded',
    `MAX_STORAGE_BYTES: the team has stored ${stored} of ${limit} bytes, ${bytes} more are too many; ` +
      'delete jobs with their artifacts, or wait until uploads expire',
  );

export const uploadRepository = ({ prisma, settings, transaction }: DatabaseContext): UploadRepository => ({
  create: (teamId, { sha256, key, bytes, filename }) =>
    transaction(async (tx) => {
      const expiresAt = new Date(Date.now() + settings.UPLOAD_TTL_DAYS * 86_400_000);
      // Uploads of a team one after the other: two cannot both take the last bytes, nor both be the first of a content.
      await tx.$queryRaw`select id from teams where id = ${teamId} for no key update`;
      const known = await tx.upload.updateManyAndReturn({ where: { teamId, sha256 }, data: { expiresAt } });
      if (known[0] !== undefined) return { upload: uploadRecord(known[0]), created: known[0].storageKey === key };
      const [limit, stored] = [await storageLimit(tx, teamId, settings), await storedBytes(tx, teamId)];
      if (stored + bytes > limit) throw storageFull(limit, stored, bytes);
      const data = { id: newId('upl'), teamId, sha256, storageKey: key, bytes: BigInt(bytes), filename, expiresAt };
      const upload = await tx.upload.create({ data });
      await addUsage(tx, teamId, '', { uploadBytes: bytes });
      return { upload: uploadRecord(upload), created: true };
    }),

  async get(teamId, uploadId) {
    const upload = await prisma.upload.findUnique({ where: { id: uploadId, teamId, expiresAt: { gt: new Date() } } });
    return upload === null ? null : uploadRecord(upload);
  },

  async findByHash(teamId, sha256) {
    const where = { teamId_sha256: { teamId, sha256 }, expiresAt: { gt: new Date() } };
    const upload = await prisma.upload.findUnique({ where });
    return upload === null ? null : uploadRecord(upload);
  },
});
