import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunStep } from '../../pipeline/step.js';

const POLL_MS = 20;

/**
 * A hook for tests, which kill processes in the middle of a layer: the layer whose index is the content of the file that
 * SPARANK_TEST_HOLD names does not end while the file is there. Without the variable the steps are as they are.
 */
export function holdable(runStep: RunStep): RunStep {
  const file = process.env['SPARANK_TEST_HOLD'];
  if (file === undefined) return runStep;
  const held = async (layer: number) => (await readFile(file, 'utf8').catch(() => '')).trim() === String(layer);
  return async (assignment, context) => {
    const result = await runStep(assignment, context);
    while (assignment.layer !== null && (await held(assignment.layer))) await sleep(POLL_MS);
    return result;
  };
}
