import { randomUUID } from 'node:crypto';
import { mkdir, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { CheckSubmission } from '../api/index.js';
import type { Config } from '../config/index.js';
import { InfrastructureError, InputError } from '../errors/index.js';
import { CHECK_SECONDS } from '../jobs/check-time.js';
import type { PhaseShares } from '../jobs/progress.js';
import { PHASES, type Assignment, type InspectResult, type JobInput } from '../jobs/tasks.js';
import { openScratch } from '../storage/scratch.js';
import { builtModule, ComputeError, ComputeProcess, stepLimits } from '../worker/index.js';

/** An idle process is given back after this time. */
const IDLE_SECONDS = 60;

/**
 * Checks submitted files in processes of their own: a file that crashes or hangs the runtime costs an answer, not the
 * API.
 */
export async function createSubmissionCheck(
  config: Config,
): Promise<{ check: CheckSubmission; close(): Promise<void> }> {
  const module = builtModule(import.meta.url, '../worker/compute/child/check.js');
  const idle: ComputeProcess[] = [];
  const all = new Set<ComputeProcess>();
  const own = await openScratch(config.DATA_DIR);

  const check: CheckSubmission = async (files, spec) => {
    const child = idle.pop() ?? new ComputeProcess(module);
    all.add(child);
    const scratch = join(own.path, randomUUID());
    await mkdir(scratch, { recursive: true });
    try {
      const assignment: Assignment = {
        taskId: 'check',
        jobId: 'check',
        teamId: 'check',
        kind: 'inspect',
        layer: null,
        point: null,
        attempt: 1,
        spec,
        inputs: {
          model: await input(files.model),
          calibration: await input(files.calibration),
          evaluation: files.evaluation === undefined ? null : await input(files.evaluation),
        },
        finished: [],
        seconds: { queued: 0, running: 0, device: 0 },
        labels: {},
      };
      const paths = Object.fromEntries(Object.values(files).map((path: string) => [path, path]));
      const request = {
        assignment,
        paths,
        directory: scratch,
        limits: stepLimits(config),
        engine: config.ENGINE,
        threads: 1,
      };
      const outcome = await child.run(request, AbortSignal.timeout(CHECK_SECONDS * 1000), () => undefined);
      return { estimate: estimate(outcome.result as InspectResult) };
    } catch (error) {
      throw refusal(error);
    } finally {
      await rm(scratch, { recursive: true, force: true });
      release(child);
    }
  };

  function release(child: ComputeProcess): void {
    idle.push(child);
    setTimeout(() => {
      const at = idle.indexOf(child);
      if (at === -1) return;
      idle.splice(at, 1);
      all.delete(child);
      void child.stop();
    }, IDLE_SECONDS * 1000).unref();
  }

  return {
    check,
    async close() {
      await Promise.all([...all].map((child) => child.stop()));
      await own.remove();
    },
  };
}

async function input(path: string): Promise<JobInput> {
  return { key: path, bytes: (await stat(path)).size, sha256: '', filename: basename(path) };
}

/** What a dry run answers. */
function estimate({ model, layers, expected }: InspectResult) {
  return {
    model,
    layers: { total: layers.length, compressible: layers.filter(({ decision }) => decision === null).length },
    blocked: layers.flatMap(({ name, reason }) => (reason === null ? [] : [{ name, reason }])),
    ...(expected === undefined ? {} : { time: timeOf(expected) }),
  };
}

/**
 * Of one device, as two quiet cores take. The layers of a job are solved on several workers at a time where there are
 * several.
 */
function timeOf(expected: PhaseShares) {
  const round = (seconds: number) => Math.round(seconds * 10) / 10;
  const phases = Object.fromEntries(PHASES.map((phase) => [phase, round(expected[phase])]));
  return { device_seconds: round(PHASES.reduce((sum, phase) => sum + expected[phase], 0)), phases };
}

/** The client learns what is wrong with the files; a crash of the process on them is their fault too. */
function refusal(error: unknown): unknown {
  if (error instanceof DOMException && error.name === 'TimeoutError') {
    return new InputError('invalid_model', `the files could not be checked within ${String(CHECK_SECONDS)} s`);
  }
  if (!(error instanceof ComputeError)) return error;
  const { error: cause, usage } = error.failure;
  // A full disk, no memory, a library that is missing here: nothing of it is said of the files.
  if (cause.class === 'own_fault')
    return new InfrastructureError('unavailable', 'the files cannot be checked just now', { cause });
  if (usage !== null) return cause;
  return new InputError('invalid_model', `the runtime broke down on these files: ${cause.message}`);
}
