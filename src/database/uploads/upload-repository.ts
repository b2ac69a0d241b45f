import { InputError } from '../../errors/index.js';
import { beyondLimit } from '../../errors/team-limit.js';
import type { DatabaseContext } from '../connection/context.js';
import type { Upload } from '../generated/client.js';
import { newId } from '../connection/ids.js';
import type { UploadRecord } from '../records.js';
import type { UploadRepository } from '../repositories.js';
import { storageLimit, storedBytes } from '../teams/team-repository.js';
import { addUsage } from '../usage/usage-repository.js';

const BY_ID = /^\w+$/;
const BY_CONTENT = /^sha256:([0-9a-f]{64})$/;

const uploadRecord = ({ storageKey, bytes, ...upload }: Upload): UploadRecord => ({
  ...upload,
  key: storageKey,
  bytes: Number(bytes),
});

export const storageFull = (limit: number, stored: number, bytes: number): InputError =>
  beyondLimit(
    'storage_bytes',
    `the team has stored ${stored} of ${limit} bytes, ${bytes} more are too many; ` +
      'delete uploads, or jobs with their artifacts',
  );

export const uploadRepository = ({ prisma, prepared, settings, transaction }: DatabaseContext): UploadRepository => ({
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

  remove: (teamId, uploadId) =>
    transaction(async (tx) => {
      // A job that is being made holds its uploads (holdInputs): after this it is seen, or finds the upload gone.
      const [upload] = await tx.$queryRaw<{ key: string }[]>`
        select storage_key as key from uploads where id = ${uploadId} and team_id = ${teamId} for update`;
      if (upload === undefined) return null;
      const readers = await tx.$queryRaw<{ id: string }[]>`
        select id from jobs where team_id = ${teamId} and status in ('queued', 'running', 'canceling')
          and ${upload.key} in (inputs->'model'->>'key', inputs->'calibration'->>'key', inputs->'evaluation'->>'key')
        order by seq limit 3`;
      if (readers.length > 0) {
        const names = readers.map(({ id }) => id).join(', ');
        throw new InputError('conflict', `jobs that have not ended read the upload (${names}); cancel them first`);
      }
      await tx.upload.delete({ where: { id: uploadId, teamId } });
      return upload;
    }),

  find(teamId, names) {
    const hashes = names.flatMap((name) => BY_CONTENT.exec(name)?.[1] ?? []);
    const ids = names.filter((name) => BY_ID.test(name));
    return prepared<UploadRecord>(
      'uploads by name',
      `select id, team_id as "teamId", sha256, storage_key as key, bytes::float8 as bytes, filename, created_at as "createdAt",
        expires_at as "expiresAt"
      from uploads
      where team_id = $1 and expires_at > clock_timestamp() and (id = any($2) or sha256 = any($3))`,
      [teamId, ids, hashes],
    );
  },

  async findByHash(teamId, sha256) {
    const where = { teamId_sha256: { teamId, sha256 }, expiresAt: { gt: new Date() } };
    const upload = await prisma.upload.findUnique({ where });
    return upload === null ? null : uploadRecord(upload);
  },
});
