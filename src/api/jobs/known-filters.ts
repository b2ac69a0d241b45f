import { LRUCache } from 'lru-cache';
import type { Static } from 'typebox';
import type { JobFilter } from '../../database/records.js';
import { type FilterSchema, readFilter } from './filter.js';

/** URLs that are remembered. */
const URLS = 2000;
/** A longer one is read each time. */
const URL_LENGTH = 500;

interface Known {
  filter: JobFilter;
  /** Written out, as the name of the list. */
  name: string;
}

/** What lists are asked for, by the URL: a client that polls asks for the same list again and again. */
export function knownFilters() {
  const known = new LRUCache<string, Known>({ max: URLS });
  return {
    /** @throws {InputError} invalid_request */
    of(url: string, query: Static<typeof FilterSchema>): Known {
      const before = known.get(url);
      if (before !== undefined) return before;
      const filter = readFilter(query);
      const read = { filter, name: JSON.stringify(filter) };
      if (url.length <= URL_LENGTH) known.set(url, read);
      return read;
    },
  };
}
