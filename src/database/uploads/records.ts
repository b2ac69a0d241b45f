export interface UploadRecord {
  id: string;
  teamId: string;
  /** Hex. */
  sha256: string;
  /** Where storage keeps it. */
  key: string;
  bytes: number;
  filename: string;
  createdAt: Date;
  expiresAt: Date;
}

/** Whether a specification's `upload` means this one: by id, or by content. */
export const isNamed = (name: string, { id, sha256 }: Pick<UploadRecord, 'id' | 'sha256'>): boolean =>
  name === id || name === `sha256:${sha256}`;
