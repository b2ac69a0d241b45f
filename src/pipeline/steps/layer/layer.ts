import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createEngine } from '../../../engines/index.js';
import { InputError } from '../../../errors/index.js';
import { choicesOf } from '../../../jobs/points.js';
import type { LayerRow } from '../../../jobs/results.js';
import type { Assignment, LayerResult } from '../../../jobs/tasks.js';
import { finishedOne, keyOf } from '../../files/finished.js';
import { readMetric, readProblem, writeFactors } from '../../files/layer-file.js';
import { withChoice } from '../../files/layer-rows.js';
import { files } from '../../files/step-files.js';
import { DENSE } from '../../../models/index.js';
import { solveOrKeep } from '../../network/solve-or-keep.js';
import type { StepContext } from '../../step.js';

/**
 * The ADMM solves of one layer on the inputs of the original network: one for every distinct choice of rank and groups.
 */
export async function layer(assignment: Assignment, context: StepContext): Promise<LayerResult> {
  let started = performance.now();
  const planned = finishedOne(assignment, 'plan').result;
  const index = assignment.layer ?? -1;
  const choices = choicesOf(planned, index);
  if (choices.length === 0) throw new RangeError(`layer ${String(index)} was not planned`);
  const inspected = finishedOne(assignment, 'inspect');
  const { layer, problem: sampled } = await readProblem(context.path(keyOf(inspected, files.samples(index))));
  const problem = { ...sampled, ...(await readMetric(context, inspected, index)) };
  const { method } = assignment.spec;
  const output = join(context.directory, 'output');
  await mkdir(output, { recursive: true });
  const engine = await createEngine(context.engine, { threads: context.threads });
  try {
    const rows: LayerRow[] = [];
    for (const [i, { allocation, points }] of choices.entries()) {
      const solved = await solveOrKeep(engine, problem, allocation, {
        reconstruction: method.reconstruction,
        maxIterations: method.max_iterations,
        seed: method.seed,
        signal: context.signal,
        onIteration: (iteration) => {
          const within = Math.min(0.95, iteration / Math.max(1, method.max_iterations));
          context.progress((i + within) / choices.length);
        },
      });
      const point = planned.points.find((p) => p.point === points[0]);
      const row = point?.layers.find((r) => r.index === index);
      if (row === undefined) throw new RangeError(`layer ${String(index)} has no row`);
      const seconds = (performance.now() - started) / 1000;
      if ('reason' in solved) {
        await writeFactors(join(output, files.factors(i)), { lowRank: null, sparse: null, bias: problem.bias });
        rows.push({ ...withChoice(row, layer, DENSE, solved.reason), seconds });
      } else {
        const { factors, diagnostics } = solved;
        await writeFactors(join(output, files.factors(i)), factors);
        rows.push({
          ...row,
          status: 'done',
          relative_error: diagnostics.relativeError,
          relative_error_linear: diagnostics.relativeErrorLinear,
          iterations: diagnostics.iterations,
          primal_residual: diagnostics.primalResidual,
          dual_residual: diagnostics.dualResidual,
          note: diagnostics.note,
          seconds,
        });
      }
      started = performance.now();
    }
    return { rows };
  } catch (error) {
    // The layer's name belongs into every error of its solve.
    if (error instanceof InputError)
      throw new InputError(error.code, error.message, { faults: error.faults, layer: layer.name, cause: error });
    throw error;
  } finally {
    await engine.dispose();
  }
}
