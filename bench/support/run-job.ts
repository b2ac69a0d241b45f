import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { JobAnswer, JobOutcome, JobRequest } from './job-child.js';

const CHILD = fileURLToPath(new URL('./job-child.ts', import.meta.url));

/** A whole job in a fresh process, so that nothing is warm and the peak memory is the job's. */
export function runJob({ limitSeconds, ...request }: JobRequest & { limitSeconds?: number }): Promise<JobOutcome> {
  return new Promise((resolve, reject) => {
    const child = fork(CHILD, [], { serialization: 'advanced' });
    const stop = () => {
      reject(new Error(`stopped after ${String(limitSeconds)} s`));
      child.kill('SIGKILL');
    };
    const timer = limitSeconds === undefined ? undefined : setTimeout(stop, 1000 * limitSeconds);
    child.once('message', (answer) => {
      const { outcome, failed } = answer as JobAnswer;
      if (outcome === undefined) reject(new Error(failed));
      else resolve(outcome);
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`the job ended with exit code ${String(code)}`));
    });
    child.send(request);
  });
}

export const totalSeconds = ({ seconds }: JobOutcome): number => Object.values(seconds).reduce((a, b) => a + b, 0);
