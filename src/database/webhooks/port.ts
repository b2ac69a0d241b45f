import type { Page } from '../page.js';
import type { ClaimedDelivery, DeliveryAttempt, DeliveryRecord, DeliveryState } from './records.js';

export interface WebhookRepository {
  /** When the team's signing secret was made, and until when the one before it signs too; null without one. */
  secretInfo(teamId: string): Promise<{ createdAt: Date; previousUntil: Date | null } | null>;
  /** Makes `secret` the team's secret. The one before it signs for `overlapSeconds` more. */
  rotateSecret(teamId: string, secret: string, overlapSeconds: number): Promise<void>;
  /** Newest first; null for a cursor that is not there (any more). */
  list(
    teamId: string,
    filter: { limit: number; after?: string; jobId?: string; state?: DeliveryState },
  ): Promise<Page<DeliveryRecord> | null>;
  /** With its log, oldest attempt first. */
  get(teamId: string, deliveryId: string): Promise<{ delivery: DeliveryRecord; log: DeliveryAttempt[] } | null>;
  /** Sent again at once, and its schedule starts anew. @throws InputError conflict when the endpoint is disabled */
  replay(teamId: string, deliveryId: string): Promise<DeliveryRecord | null>;
  disabledEndpoints(teamId: string): Promise<{ url: string; disabledAt: Date }[]>;
  /** False when it was not disabled. Messages that came meanwhile can be replayed. */
  enableEndpoint(teamId: string, url: string): Promise<boolean>;

  /** The pool's side: up to `limit` messages that are due, for `leaseSeconds`; nobody else gets them until then. */
  claim(limit: number, leaseSeconds: number): Promise<ClaimedDelivery[]>;
  /**
   * Writes down an attempt and what follows from it. `retryInSeconds` null: there is no further one.
   * False when another claim is in charge.
   */
  record(
    claimed: Pick<ClaimedDelivery, 'id' | 'token'>,
    attempt: Omit<DeliveryAttempt, 'at'>,
    next: { verdict: 'delivered' | 'gone' | 'retry'; retryInSeconds: number | null },
  ): Promise<boolean>;
}
