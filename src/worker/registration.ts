import type { WorkerRepository } from '../database/repositories.js';
import type { Log } from '../observability/log.js';

/** Time between two signs of life in the table of workers, a third of what makes one count as gone. */
const REGISTER_MS = 20_000;

export interface Registration {
  /** Writes the row now; rejects when that fails. */
  now(): Promise<void>;
  stop(): void;
}

/** Keeps a worker's row in the table of workers alive from the first call of `now` on. */
export function keepRegistered(
  workers: Pick<WorkerRepository, 'upsert'>,
  worker: Parameters<WorkerRepository['upsert']>[0],
  logger: Log,
): Registration {
  const register = () => workers.upsert(worker);
  const timer = setInterval(() => {
    register().catch((error: unknown) => logger.warn({ err: error }, 'could not register'));
  }, REGISTER_MS);
  return { now: register, stop: () => clearInterval(timer) };
}
