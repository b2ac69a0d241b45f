/** One process is in charge of the loops that keep jobs moving, as long as it says so. */
export interface ChargeRepository {
  /** Takes the charge of a part, or keeps it; false when another process has it. */
  take(part: string, holder: string): Promise<boolean>;
  /** Whether a process has it, and about how many others look for that. */
  look(part: string): Promise<{ taken: boolean; processes: number }>;
  /** For the others to take it at once. */
  leave(part: string, holder: string): Promise<void>;
}
