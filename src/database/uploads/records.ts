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
