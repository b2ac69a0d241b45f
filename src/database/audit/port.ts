import type { Page } from '../page.js';
import type { Actor, AuditAction, AuditFilter, AuditRecord } from './records.js';

/** What was done to keys and teams, and by admins to what is another's. Those methods write it with what they do. */
export interface AuditRepository {
  /** Of what changes no rows. */
  note(deed: { action: AuditAction; teamId: string | null; subject: string }, by: Actor): Promise<void>;
  /** Newest first. */
  list(filter: AuditFilter): Promise<Page<AuditRecord>>;
}
