import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { JobOutcome, JobRequest } from './job-child.js';

const CHILD = fileURLToPath(new URL('./job-child.ts', import.meta.url));

/** A whole job in a fresh process, so that nothing is warm and the peak memory is the job's. */
export function runJob(request: JobRequest): Promise<JobOutcome> {
  return new Promise((resolve, reject) => {
    const child = fork(CHILD, [], { serialization: 'advanced' });
    child.once('message', (outcome) => resolve(outcome as JobOutcome));
    child.once('exit', (code) => reject(new Error(`the job ended with exit code ${String(code)}`)));
    child.send(request);
  });
}

export const totalSeconds = ({ seconds }: JobOutcome): number => Object.values(seconds).reduce((a, b) => a + b, 0);
