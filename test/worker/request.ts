import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../../src/config/index.js';
import type { Assignment } from '../../src/jobs/tasks.js';
import type { StepRequest } from '../../src/worker/compute/child/protocol.js';
import { stepLimits } from '../../src/worker/limits.js';

export const STEPS = fileURLToPath(new URL('./children/steps.mjs', import.meta.url));

export function assignment(behave: string, extra: Partial<Assignment> = {}): Assignment {
  const input = { key: 'uploads/a', bytes: 3, sha256: '00', filename: 'a.onnx' };
  return {
    taskId: 'task_1',
    jobId: 'job_1',
    teamId: 'team_default',
    kind: 'assemble',
    layer: null,
    point: null,
    attempt: 1,
    spec: {
      model: { upload: 'upl_1' },
      calibration: { upload: 'upl_2' },
      target: { parameter_ratio: 4 },
      constraints: {},
      method: {
        components: ['low_rank', 'sparse'],
        pattern: 'channel',
        low_rank_shapes: ['channel', 'tucker', 'spatial'],
        reconstruction: 'after_activation',
        error_metric: 'responses',
        weights: { coding: 'float32', bits: 4, integer_layers: 'faster' },
        inputs: 'refit',
        distillation_passes: null,
        samples: 5000,
        max_iterations: 50,
        layers: { include: [], exclude: [] },
        seed: 1,
      },
      benchmark: { batch_sizes: [1], threads: null },
      priority: 'normal',
      labels: {},
      deadline_seconds: null,
    },
    inputs: { model: input, calibration: input, evaluation: null },
    finished: [],
    seconds: { queued: 0, running: 0, device: 0 },
    labels: { behave },
    ...extra,
  };
}

export async function request(behave: string): Promise<StepRequest> {
  const directory = await mkdtemp(join(tmpdir(), 'sparank-step-'));
  const limits = stepLimits(readConfig({}));
  return { assignment: assignment(behave), paths: {}, directory, limits, engine: 'auto', threads: 1 };
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
