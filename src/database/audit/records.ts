/** Who did something, and by which request. */
export interface Actor {
  keyId: string;
  keyPrefix: string;
  teamId: string;
  requestId: string;
  address: string;
}

export const AUDIT_ACTIONS = [
  'team.created',
  'team.changed',
  'team.removed',
  'key.created',
  'key.revoked',
  'job.canceled',
  'worker.drained',
  'worker.undrained',
  'dashboard.login',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

export interface AuditRecord {
  /** Descending in lists: the cursor. */
  id: string;
  at: Date;
  action: AuditAction;
  /** Null: the service itself, by its settings. */
  actor: Actor | null;
  /** The team that it was done to. */
  teamId: string | null;
  /** Id of what it was done to. */
  subject: string;
  detail: Record<string, unknown>;
}

export interface AuditFilter {
  limit: number;
  /** Id of the last entry of the page before. */
  after?: string;
  teamId?: string;
  action?: AuditAction[];
  subject?: string;
  createdAfter?: Date;
}
