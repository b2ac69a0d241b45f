import type { Database } from './database/repositories.js';
import type { TaskQueue } from './queue/queue.js';
import type { Storage } from './storage/storage.js';

/** The three things a process of the service talks to. */
export interface Backends {
  database: Database;
  queue: TaskQueue;
  storage: Storage;
  close(): Promise<void>;
}
