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

export interface List {
  teamId: string;
  /** What is shown of each job. */
  fields: string;
  filter: JobFilter;
  /** The filter, written out. */
  name: string;
}

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
  const keyOf = ({ teamId, fields, name }: List) => `${teamId} ${fields} ${name}`;

  const tag = (fields: string, digest: string, places: QueuePlace[]): string => {
    const text = JSON.stringify([fields, digest, places.map(placeTag)]);
    return `W/"${createHash('sha1').update(text).digest('base64url')}"`;
  };

  return {
    /** The ETag that the list has now; null when that is not known without reading it. */
    async current(list: List): Promise<string | null> {
      const entry = known.get(keyOf(list));
      if (entry === undefined || entry.digest !== (await jobs.digest(list.teamId, list.filter))) return null;
      if (now() < entry.until) return entry.etag;
      const places = await Promise.all(entry.queued.map((job) => jobs.place(job)));
      entry.until = now() + PLACES_MS;
      entry.etag = tag(list.fields, entry.digest, places);
      return entry.etag;
    },

    /** Of a page that was read. */
    note(list: List, { digest, data }: DigestedPage<Placed>, places: (QueuePlace | null)[]): string {
      const queued = data.filter(({ status }) => status === 'queued');
      const etag = tag(
        list.fields,
        digest,
        places.filter((place) => place !== null),
      );
      const until = queued.length === 0 ? Infinity : now() + PLACES_MS;
      known.set(keyOf(list), { digest, etag, queued, until });
      return etag;
    },
  };
}
