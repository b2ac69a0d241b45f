import type { DatabaseContext } from './context.js';
import type { Upload } from './generated/client.js';
import { newId } from './ids.js';
import type { UploadRecord } from './records.js';
import type { UploadRepository } from './repositories.js';

const uploadRecord = ({ storageKey, bytes, ...upload }: Upload): UploadRecord => ({
  ...upload,
  key: storageKey,
  bytes: Number(bytes),
});

export const uploadRepository = ({ prisma, settings }: DatabaseContext): UploadRepository => ({
  async create(teamId, { sha256, key, bytes, filename }) {
    const id = newId('upl');
    const expiresAt = new Date(Date.now() + settings.UPLOAD_TTL_DAYS * 86_400_000);
    const upload = await prisma.upload.upsert({
      where: { teamId_sha256: { teamId, sha256 } },
      create: { id, teamId, sha256, storageKey: key, bytes: BigInt(bytes), filename, expiresAt },
      update: { expiresAt },
    });
    return { upload: uploadRecord(upload), created: upload.storageKey === key };
  },

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
