import type { UploadRecord } from './records.js';

export interface UploadRepository {
  /**
   * Same team and content: the first one is kept, its expiry renewed, and returned with `created: false`
   * (the caller then deletes the second file, unless the keys are equal).
   * @throws InputError limit_exceeded (storage_bytes)
   */
  create(
    teamId: string,
    upload: { sha256: string; key: string; bytes: number; filename: string },
  ): Promise<{ upload: UploadRecord; created: boolean }>;
  get(teamId: string, uploadId: string): Promise<UploadRecord | null>;
  findByHash(teamId: string, sha256: string): Promise<UploadRecord | null>;
  /** Those that are there, in any order: named by id, or by content as `sha256:<hex>`. */
  find(teamId: string, names: string[]): Promise<UploadRecord[]>;
  /**
   * Returns its storage key, for the caller to delete. @throws InputError conflict while a job that has not ended reads
   * it
   */
  remove(teamId: string, uploadId: string): Promise<{ key: string } | null>;
}
