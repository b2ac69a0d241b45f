import type { SweepHold, SweepHolds } from './records.js';

/** Who this database is, whoever opens it, and which storage is its own. */
export interface InstallationRepository {
  /** Null: no process has asked for a storage yet. */
  get(): Promise<{ id: string; storageId: string | null } | null>;
  /** The same, made now if there is none. */
  make(): Promise<{ id: string; storageId: string | null }>;
  /** Makes this storage the database's own unless it has one; returns the one that it has. */
  bindStorage(storageId: string): Promise<string>;
  /** In place of the one that it had. */
  rebindStorage(storageId: string): Promise<void>;
  sweepHolds(): Promise<SweepHolds>;
  /** Null: the sweep goes on. */
  holdSweep(what: keyof SweepHolds, hold: SweepHold | null): Promise<void>;
}
