import type { StartErrors } from './records.js';

export interface PredictionRepository {
  /** What the client of a new job was told: kept for a day, of one job in some seconds. */
  note(jobId: string, expectedSeconds: number): Promise<void>;
  errors(): Promise<StartErrors[]>;
}
