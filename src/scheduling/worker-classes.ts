import { HOST_ENGINE } from '../engines/index.js';
import type { Resources, Spec } from '../jobs/spec.js';

/**
 * Workers that have the same to offer form a class with a queue of its own, whose places are shared fairly between the
 * teams. A task is released to a class that has what its job asks for, so no worker ever gets a task that it cannot
 * run.
 */

/** What a worker offers. */
export interface Offer {
  engine: string;
  /** Of the accelerator; 0 without one. */
  deviceMemoryBytes: number;
  /** A label by setting. */
  class: string | null;
}

/** What only some workers have; null: any worker will do. */
export type Needs = Resources | null;

/** The name of the class of the workers without anything particular. */
export const PLAIN_CLASS = '';

export function needsOf({ resources }: Pick<Spec, 'resources'>): Needs {
  return resources === undefined || Object.keys(resources).length === 0 ? null : resources;
}

/** Says the same as `sparank_can_run` in the database. */
export const canRun = (needs: Needs, offer: Offer): boolean =>
  needs === null ||
  ((needs.engine === undefined || needs.engine === offer.engine) &&
    (needs.device_memory_bytes ?? 0) <= offer.deviceMemoryBytes &&
    (needs.class === undefined || needs.class === offer.class));

/** A name that is good for a queue: equal offers have the same. */
export function workerClassOf({ engine, deviceMemoryBytes, class: label }: Offer): string {
  return [
    ...(engine === HOST_ENGINE ? [] : [engine]),
    ...(label === null ? [] : [`class-${label}`]),
    ...(deviceMemoryBytes === 0 ? [] : [`memory-${deviceMemoryBytes}`]),
  ].join('.');
}

/** Those that have the least to offer come first: tasks that anyone can run leave the others to those who need them. */
export const byOffer = (a: Offer, b: Offer): number =>
  a.deviceMemoryBytes - b.deviceMemoryBytes ||
  Number(a.class !== null) - Number(b.class !== null) ||
  (workerClassOf(a) < workerClassOf(b) ? -1 : 1);
