import type { Database, WorkerRepository } from '../database/repositories.js';
import type { Log } from '../observability/log.js';

/** Time between two signs of life in the table of workers, a sixth of what makes one count as gone. */
const REGISTER_MS = 10_000;

export interface Registration {
  /** Writes the row now; rejects when that fails. */
  now(): Promise<void>;
  stop(): void;
}

/**
 * Keeps a worker's row in the table of workers alive from the first call of `now` on, and tells what operators want of
 * it: with every sign of life, and as soon as the database says that it has changed.
 */
export function keepRegistered(
  { workers, notifications }: Pick<Database, 'workers' | 'notifications'>,
  id: string,
  worker: () => Omit<Parameters<WorkerRepository['upsert']>[0], 'id'>,
  { logger, onState }: { logger: Log; onState: (state: { draining: boolean }) => Promise<void> },
): Registration {
  // The connection of this process that listens is what others know it to be alive by.
  const row = () => ({ id, ...worker(), session: notifications.session });
  const register = async () => onState(await workers.upsert(row()));
  const again = () => void register().catch((error: unknown) => logger.warn({ err: error }, 'could not register'));
  const timer = setInterval(again, REGISTER_MS);
  const unsubscribe = notifications.subscribe(`worker:${id}`, again);
  return {
    now: register,
    stop() {
      clearInterval(timer);
      unsubscribe();
    },
  };
}
