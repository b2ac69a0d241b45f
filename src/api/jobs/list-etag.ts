import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { DigestedPage, JobFilter, JobRow, QueuePlace } from '../../database/records.js';
import type { Database } from '../../database/repositories.js';
import { placeTag } from './etag.js';

/** Lists that are remembered. */
const LISTS = 2000;
/** Places move all the time; in an ETag they do so at most so often. */
const PLACES_MS = 1_000;

type Placed = Pick<JobRow, 'id' | 'seq' | 'teamId' | 'priority' | 'needs' | 'status'>;

interface Known {
  digest: string;
  etag: string;
  /** Of the page: they have places. */
  queued: Placed[];
  until: number;
}

const now = (): number => performance.now();

/**
 * ETags of lists, so that a poll that finds nothing new costs one small question (which everybody who asks at the
 * moment shares) and no page. They change with every job of the page, and with the places of the queued ones.
 */
export function listEtags(jobs: Pick<Database['jobs'], 'digest' | 'place'>) {
  const known = new LRUCache<string, Known>({ max: LISTS });
  const keyOf = (teamId: string, fields: string, filter: JobFilter) => JSON.stringify([teamId, fields, filter]);

  const tag = (fields: string, digest: string, places: QueuePlace[]): string => {
    const text = JSON.stringify([fields, digest, places.map(placeTag)]);
    return `W/"${createHash('sha1').update(text).digest('base64url')}"`;
  };

  return {
    /** The ETag that the list has now; null when that is not known without reading it. */
    async current(teamId: string, fields: string, filter: JobFilter): Promise<string | null> {
      const key = keyOf(teamId, fields, filter);
      if (!known.has(key)) return null;
      const digest = await jobs.digest(teamId, filter);
      const entry = known.get(key);
      if (entry?.digest !== digest) return null;
      if (now() < entry.until) return entry.etag;
      const places = await Promise.all(entry.queued.map((job) => jobs.place(job)));
      entry.until = now() + PLACES_MS;
      entry.etag = tag(fields, digest, places);
      return entry.etag;
    },

    /** Of a page that was read. */
    note(
      { teamId, fields, filter }: { teamId: string; fields: string; filter: JobFilter },
      { digest, data }: DigestedPage<Placed>,
      places: (QueuePlace | null)[],
    ): string {
      const queued = data.filter(({ status }) => status === 'queued');
      const etag = tag(
        fields,
        digest,
        places.filter((place) => place !== null),
      );
      const until = queued.length === 0 ? Infinity : now() + PLACES_MS;
      known.set(keyOf(teamId, fields, filter), { digest, etag, queued, until });
      return etag;
    },
  };
}
