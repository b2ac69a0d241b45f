import type { LayerRow } from '../../jobs/results.js';
import type { Page } from '../page.js';
import type { ArtifactRecord, EventRecord } from './records.js';

export interface LayerRepository {
  /** Of one point (the first), in graph order; empty before the model was inspected; null for an unknown job. */
  list(teamId: string, jobId: string, point?: number): Promise<LayerRow[] | null>;
}

export interface EventRepository {
  /** Oldest first, those with an id above `after`; null for an unknown job. */
  list(teamId: string, jobId: string, page: { after?: number; limit: number }): Promise<Page<EventRecord> | null>;
}

export interface ArtifactRepository {
  list(teamId: string, jobId: string): Promise<ArtifactRecord[] | null>;
  get(teamId: string, jobId: string, name: string): Promise<ArtifactRecord | null>;
}
