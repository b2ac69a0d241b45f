/** The team that everything belongs to until there are more. */
export const DEFAULT_TEAM = 'team_default';

/** `team:admin` is a role inside the key's own team, `admin` one over all teams. */
export const SCOPES = ['jobs:read', 'jobs:write', 'team:admin', 'admin'] as const;

export type Scope = (typeof SCOPES)[number];

/** Null: the setting of the service applies. */
export interface TeamLimits {
  runningTasks: number | null;
  queuedJobs: number | null;
  storageBytes: number | null;
  requestsPerMinute: number | null;
}

export interface TeamRecord {
  id: string;
  name: string;
  /** Share of the pool relative to other teams. */
  weight: number;
  limits: TeamLimits;
  createdAt: Date;
}

/** What a team has in use of that which is limited. */
export interface TeamUsage {
  runningTasks: number;
  openJobs: number;
  storageBytes: number;
}

export interface KeyRecord {
  id: string;
  teamId: string;
  /** First characters of the key, to recognise it by. */
  prefix: string;
  name: string;
  scopes: Scope[];
  createdAt: Date;
  expiresAt: Date | null;
  lastUsedAt: Date | null;
  revokedAt: Date | null;
}

/** A key that opens the service now. */
export interface UsableKey extends KeyRecord {
  /** Its team's limit. */
  requestsPerMinute: number | null;
}

export interface StoredKey extends UsableKey {
  /** Hex SHA-256 of the whole key. */
  hash: string;
}
