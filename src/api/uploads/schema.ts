import { Type, type Static } from 'typebox';
import type { UploadRecord } from '../../database/records.js';
import { Time } from '../schemas.js';

export const UploadSchema = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('upload'),
    sha256: Type.String({ description: 'hex' }),
    bytes: Type.Integer(),
    filename: Type.String(),
    created_at: Time,
    expires_at: Time,
  },
  { $id: 'Upload' },
);

/** No path, no control characters: the name goes into headers and, on workers, decides the format by its end. */
export const Filename = Type.String({ minLength: 1, maxLength: 255, pattern: '^[^/\\\\\\u0000-\\u001f\\u007f]+$' });

export const presentUpload = (upload: UploadRecord): Static<typeof UploadSchema> => ({
  id: upload.id,
  object: 'upload',
  sha256: upload.sha256,
  bytes: upload.bytes,
  filename: upload.filename,
  created_at: upload.createdAt.toISOString(),
  expires_at: upload.expiresAt.toISOString(),
});
