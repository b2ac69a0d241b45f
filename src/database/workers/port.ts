import type { Offer } from '../../scheduling/worker-classes.js';
import type { Actor } from '../audit/records.js';
import type { WorkerRecord } from './records.js';

export interface WorkerRepository {
  /** Registers or refreshes; call it at start and every few seconds. */
  upsert(
    worker: { id: string; engine: string; device: string; threads: number; slots: number; session?: string } & Partial<
      Pick<Offer, 'class' | 'deviceMemoryBytes'> & Pick<WorkerRecord, 'trouble'>
    >,
  ): Promise<{ draining: boolean }>;
  remove(workerId: string): Promise<void>;
  /**
   * A draining worker ends its task and takes no more, as soon as it hears of it: at its next sign of life. Null: there
   * is no such worker that is alive.
   */
  drain(workerId: string, draining: boolean, by?: Actor): Promise<WorkerRecord | null>;
  /** Those that are alive: seen in the last minute, and their process, where it is known, is there. */
  list(): Promise<WorkerRecord[]>;
}
