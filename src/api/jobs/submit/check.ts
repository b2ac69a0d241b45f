import { LRUCache } from 'lru-cache';
import PQueue from 'p-queue';
import { InfrastructureError } from '../../../errors/index.js';
import { CHECK_WAIT_SECONDS } from '../../../jobs/check-time.js';
import type { Spec } from '../../../jobs/spec.js';
import type { LazyDirectory } from '../../../storage/scratch.js';
import type { CheckSubmission, SubmittedFiles } from '../../deps.js';
import type { JobFiles } from './sources.js';

/** Results that are kept: the same files come again and again, with another target or as a retry. */
const KEPT = 256;
/** Checks at a time: each may hold a whole model in memory. */
const AT_ONCE = 2;
/** Checks that wait for a place; their files fill the scratch directory. */
const WAITING = 32;

export type CheckFiles = (files: JobFiles, spec: Spec, directory: LazyDirectory) => Promise<{ estimate: unknown }>;

/** Everything that the outcome depends on. */
function fingerprint(files: JobFiles, spec: Spec): string {
  const { target, targets, constraints, method, benchmark, output } = spec;
  const content = [files.model.sha256, files.calibration.sha256, files.evaluation?.sha256 ?? null];
  return JSON.stringify([content, files.model.filename, target, targets, constraints, method, benchmark, output]);
}

async function localFiles(files: JobFiles, directory: LazyDirectory): Promise<SubmittedFiles> {
  const [model, calibration, evaluation] = await Promise.all([
    files.model.local(directory, 'model'),
    files.calibration.local(directory, 'calibration'),
    files.evaluation?.local(directory, 'evaluation'),
  ]);
  return { model, calibration, ...(evaluation === undefined ? {} : { evaluation }) };
}

/** Runs few checks at a time, and none twice for the same content. A refusal is not kept: it is cheap, and rare. */
export function fileChecker(check: CheckSubmission): CheckFiles {
  const results = new LRUCache<string, Promise<{ estimate: unknown }>>({ max: KEPT });
  const queue = new PQueue({ concurrency: AT_ONCE });

  async function run(files: JobFiles, spec: Spec, directory: LazyDirectory): Promise<{ estimate: unknown }> {
    const busy = new InfrastructureError('unavailable', `${queue.size} checks of submitted files wait already`);
    if (queue.size >= WAITING) throw busy;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(busy), CHECK_WAIT_SECONDS * 1000);
    const begun = async () => {
      clearTimeout(timer);
      return check(await localFiles(files, directory), spec);
    };
    return queue.add(begun, { signal: late.signal });
  }

  return (files, spec, directory) => {
    const key = fingerprint(files, spec);
    const known = results.get(key);
    if (known !== undefined) return known;
    const result = run(files, spec, directory);
    results.set(key, result);
    result.catch(() => results.delete(key));
    return result;
  };
}
