import type { JobRecord, QueuePlace } from '../../database/records.js';

/** Steps per doubling of the expected start: one that moves on by less is not worth an answer. */
const STEPS = 2;
const coarse = (seconds: number | null): string =>
  seconds === null ? '' : String(Math.round(STEPS * Math.log2(1 + seconds)));

/**
 * Weak: the expected start of a queued job and the estimate of a running one move all the time without anything
 * happening. The position, the reason and a coarse expected start are in it, so that a client which polls with it sees
 * them move. The status is in it, so that a wait can tell whether it changed since the client last looked.
 */
export function jobEtag(job: Pick<JobRecord, 'status' | 'version'>, place: QueuePlace | null): string {
  return `W/"${job.status}.${job.version}${place === null ? '' : `.${placeTag(place)}`}"`;
}

/** The part of it that is about the queue. */
export const placeTag = ({ position, reason, expectedStartSeconds }: QueuePlace): string =>
  `${position}.${reason}.${coarse(expectedStartSeconds)}`;

const opaque = (tag: string): string => tag.trim().replace(/^W\//, '');

/** `If-None-Match` by weak comparison. */
export function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header === etag) return true;
  return header.trim() === '*' || header.split(',').some((tag) => opaque(tag) === opaque(etag));
}

/** The status that the client of `If-None-Match` has seen, or null. */
export const statusSeen = (header: string | undefined): string | null =>
  /"([a-z]+)\.\d+[^"]*"/.exec(header ?? '')?.[1] ?? null;
