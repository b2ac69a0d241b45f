import type { Actor } from '../audit/records.js';
import type { Page } from '../page.js';
import type { KeyRecord, Scope, StoredKey, TeamLimits, TeamRecord, TeamUsage } from './records.js';

export interface TeamRepository {
  /** @throws InputError conflict when another team has the name */
  create(team: { name: string; weight: number; limits: Partial<TeamLimits> }, by?: Actor): Promise<TeamRecord>;
  get(teamId: string): Promise<TeamRecord | null>;
  /** Oldest first. */
  list(page: { after?: string; limit: number }): Promise<Page<TeamRecord>>;
  /** What is not given stays. @throws InputError conflict when another team has the name */
  update(
    teamId: string,
    change: { name?: string; weight?: number; limits?: Partial<TeamLimits> },
    by?: Actor,
  ): Promise<TeamRecord | null>;
  /**
   * Removing a team: its keys are revoked. False: there is none. Then `clear` until nothing is left, then `drop`.
   * @throws InputError conflict while jobs of it have not ended, unless those are to be canceled
   */
  close(teamId: string, options: { cancelJobs: boolean }, by?: Actor): Promise<boolean>;
  /** Removes up to `limit` of its jobs and uploads each; returns their files, for the caller to delete. */
  clear(teamId: string, limit: number): Promise<{ prefixes: string[]; keys: string[] }>;
  drop(teamId: string): Promise<void>;
  usage(teamId: string): Promise<TeamUsage>;
  /** Bytes that the team may still store, and those of its largest upload. */
  storageRoom(teamId: string): Promise<{ left: number; largest: number }>;
}

export interface KeyRepository {
  /** Hash: hex sha256 of the whole key. Revoked and expired keys are not found. */
  findByHash(hash: string): Promise<StoredKey | null>;
  /** The same by its id. */
  findById(keyId: string): Promise<StoredKey | null>;
  /** All of these that there are, in one query. */
  findTogether(wanted: { hashes: string[]; ids: string[] }): Promise<StoredKey[]>;
  /** An existing key with this hash and team stays as it is and is returned. */
  create(
    teamId: string,
    key: { hash: string; prefix: string; name: string; scopes: Scope[]; expiresAt?: Date | null },
    by?: Actor,
  ): Promise<KeyRecord>;
  /** Oldest first, those that are revoked or have expired too. */
  list(teamId: string, page: { after?: string; limit: number }): Promise<Page<KeyRecord>>;
  get(teamId: string, keyId: string): Promise<KeyRecord | null>;
  /** From the next request on, nobody gets in with it. */
  revoke(teamId: string, keyId: string, by?: Actor): Promise<KeyRecord | null>;
  /** Notes that a key was used; at most one write a minute. */
  touch(key: Pick<KeyRecord, 'id' | 'lastUsedAt'>): Promise<void>;
}
