import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunStep } from '../../../pipeline/step.js';

const POLL_MS = 20;

/**
 * A hook for tests, which kill processes in the middle of a step: the layer whose index is the content of the file that
 * SPARANK_TEST_HOLD names, or the assembly of the point that it names (`point 2`), does not end while the file is
 * there. Without the variable the steps are as they are.
 */
export function holdable(runStep: RunStep): RunStep {
  const file = process.env['SPARANK_TEST_HOLD'];
  if (file === undefined) return runStep;
  const held = async (what: string) => (await readFile(file, 'utf8').catch(() => '')).trim() === what;
  return async (assignment, context) => {
    const result = await runStep(assignment, context);
    const { layer, point } = assignment;
    if (layer === null && point === null) return result;
    while (await held(layer === null ? `point ${String(point)}` : String(layer))) await sleep(POLL_MS);
    return result;
  };
}
