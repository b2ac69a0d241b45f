import { HOST_ENGINE } from '../engines/index.js';
import { canRun, type Needs, type Offer } from './worker-classes.js';

/** Open tasks that are alike. */
export interface TaskGroup {
  state: 'waiting' | 'released' | 'running';
  /** Where they were released to. */
  workerClass: string;
  needs: Needs;
  count: number;
}

export interface ClassDepth {
  /** `unknown`: a class is asked for that no live worker has. */
  device: 'cpu' | 'gpu' | 'unknown';
  /** Of the workers; empty for those without one, `other` where no live worker has it. */
  class: string;
  state: TaskGroup['state'];
  count: number;
}

type Place = Pick<ClassDepth, 'device' | 'class'>;

const isAccelerated = ({ engine, deviceMemoryBytes }: Pick<Offer, 'engine' | 'deviceMemoryBytes'>) =>
  engine !== HOST_ENGINE || deviceMemoryBytes > 0;

const placeOf = (offer: Offer): Place => ({
  device: isAccelerated(offer) ? 'gpu' : 'cpu',
  class: offer.class ?? '',
});

/** From its name, as `laneOf` makes it: its workers may be gone. */
function placeOfClass(workerClass: string): Place {
  const parts = workerClass === '' ? [] : workerClass.split('.');
  const label = parts.find((part) => part.startsWith('class-'));
  return {
    device: parts.some((part) => part !== label) ? 'gpu' : 'cpu',
    class: label?.slice('class-'.length) ?? '',
  };
}

/**
 * Nobody alive can run it: whoever scales workers up must see for which kind. A label is the client's: it names no
 * series.
 */
function placeOfNeeds(needs: Needs): Place {
  const label = needs?.class === undefined ? '' : 'other';
  if (needs?.engine === undefined && needs?.device_memory_bytes === undefined)
    return { device: label === '' ? 'cpu' : 'unknown', class: label };
  const offer = { engine: needs.engine ?? HOST_ENGINE, deviceMemoryBytes: needs.device_memory_bytes ?? 0 };
  return { device: isAccelerated(offer) ? 'gpu' : 'cpu', class: label };
}

/**
 * Open tasks by the kind of worker that has them or will get them: what waits is counted where the relay would send it,
 * to the workers with the least to offer that can run it. Zeros for every kind of live worker, and for processors and
 * GPUs anyhow.
 */
export function depthByClass(groups: readonly TaskGroup[], classes: readonly Offer[]): ClassDepth[] {
  const sums = new Map<string, ClassDepth>();
  const add = (place: Place, state: TaskGroup['state'], count: number) => {
    const key = JSON.stringify([place.device, place.class, state]);
    const sum = sums.get(key) ?? { ...place, state, count: 0 };
    sums.set(key, { ...sum, count: sum.count + count });
  };
  const always: Place[] = [
    { device: 'cpu', class: '' },
    { device: 'gpu', class: '' },
  ];
  for (const place of [...always, ...classes.map(placeOf)])
    for (const state of ['waiting', 'released', 'running'] as const) add(place, state, 0);
  for (const { state, workerClass, needs, count } of groups) {
    if (state !== 'waiting') add(placeOfClass(workerClass), state, count);
    else {
      const first = classes.find((offer) => canRun(needs, offer));
      add(first === undefined ? placeOfNeeds(needs) : placeOf(first), state, count);
    }
  }
  return [...sums.values()];
}
