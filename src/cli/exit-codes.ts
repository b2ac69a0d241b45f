/** What a script can rely on. */
export const EXIT = {
  ok: 0,
  /** Something failed: the job, the service, a file. */
  error: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The job was done, but its result does not meet the constraints. */
  verdict: 3,
  interrupted: 130,
} as const;
