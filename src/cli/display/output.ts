import type { JobView } from '../../api/jobs/schema.js';
import { EXIT } from '../exit-codes.js';
import { bars } from './bars.js';
import { lines, silent, type Display } from './follow.js';
import { outcome, somePasses } from './points.js';

export const print = (text: string) => void process.stdout.write(`${text}\n`);
export const printJson = (value: unknown) => print(JSON.stringify(value, null, 2));
export const note = (text: string) => void process.stderr.write(`${text}\n`);

export function displayFor(json: boolean): Display {
  if (json) return silent;
  return process.stderr.isTTY ? bars() : lines(note);
}

/** Prints how a job ended and sets the exit code. */
export function concludeJob(job: JobView, json: boolean): void {
  if (json) printJson(job);
  else {
    print(`${job.id} ${job.status}`);
    if (job.metrics) print(outcome(job.points));
    if (job.error)
      note(`sparank: ${job.error.layer === null ? '' : `${job.error.layer}: `}${job.error.detail} (${job.error.code})`);
  }
  if (job.status !== 'succeeded') process.exitCode = EXIT.error;
  else if (!somePasses(job.points)) process.exitCode = EXIT.verdict;
}
