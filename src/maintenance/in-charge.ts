import { randomUUID } from 'node:crypto';
import type { ChargeRepository } from '../database/repositories.js';
import type { Log } from '../observability/log.js';
import { type Loop, startLoop } from './loop.js';

/** Between two signs of life of the process in charge, and at least between two looks of another one. */
const TURN_MS = 1000;
/** One that gave the charge up leaves the others so long to take it. */
const AWAY_MS = 5000;
/** All the others together look a hundred times a second at most, however many they are. */
const LOOK_MS_PER_PROCESS = 10;

export interface ChargedLoop extends Pick<Loop, 'close'> {
  /** False when this process cannot do the work, and another one might. */
  isAble?: () => boolean;
}

export interface ChargeOptions {
  part: string;
  charge: ChargeRepository;
  logger: Log;
  /** Starts what only one process should do. */
  start: () => ChargedLoop[];
}

/**
 * Runs loops while this process is in charge of them. Every process could run them, and nothing breaks when two do for
 * a moment: but what each of a thousand does every second, the database pays for. When the one in charge is silent, or
 * cannot do the work, another takes over.
 */
export function whileInCharge({ part, charge, logger, start }: ChargeOptions): Pick<Loop, 'close'> {
  const holder = randomUUID();
  let loops: ChargedLoop[] | null = null;
  let nextLook = 0;

  const stop = async () => {
    const running = loops ?? [];
    loops = null;
    await Promise.all(running.map((loop) => loop.close()));
  };

  const turn = async () => {
    if (loops === null) {
      if (performance.now() < nextLook) return;
      const { taken, processes } = await charge.look(part);
      nextLook = performance.now() + Math.random() * 2 * Math.max(0, processes * LOOK_MS_PER_PROCESS - TURN_MS);
      if (taken) return;
    }
    if (loops?.some(({ isAble }) => isAble?.() === false) === true) {
      logger.warn({ part }, 'cannot do the work it is in charge of: leaves it to another process');
      nextLook = performance.now() + AWAY_MS;
      await stop();
      await charge.leave(part, holder);
      return;
    }
    const mine = await charge.take(part, holder);
    if (mine && loops === null) {
      logger.debug({ part }, 'in charge');
      loops = start();
    } else if (!mine && loops !== null) {
      logger.debug({ part }, 'another process is in charge');
      await stop();
    }
  };

  const loop = startLoop(`charge of ${part}`, turn, { intervalMs: TURN_MS, logger });
  return {
    async close() {
      await loop.close();
      const had = loops !== null;
      await stop();
      if (had)
        await charge
          .leave(part, holder)
          .catch((error: unknown) => logger.debug({ err: error, part }, 'the charge runs out by itself'));
    },
  };
}
