import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { solveLayer } from '../compression/index.js';
import { createEngine } from '../engines/index.js';
import { InputError } from '../errors.js';
import type { Assignment, LayerResult } from '../jobs/tasks.js';
import { finishedOne, keyOf } from './finished.js';
import { readProblem, writeFactors } from './layer-file.js';
import { files } from './step-files.js';
import type { StepContext } from './step.js';

/** The ADMM solve of one layer on the inputs of the original network. */
export async function layer(assignment: Assignment, context: StepContext): Promise<LayerResult> {
  const started = performance.now();
  const planned = finishedOne(assignment, 'plan').result;
  const allocation = planned.allocations.find(({ index }) => index === assignment.layer);
  const row = planned.layers.find(({ index }) => index === assignment.layer);
  if (allocation === undefined || row === undefined)
    throw new RangeError(`layer ${String(assignment.layer)} was not planned`);
  const { problem } = await readProblem(
    context.path(keyOf(finishedOne(assignment, 'inspect'), files.samples(allocation.index))),
  );
  const { method } = assignment.spec;
  const engine = await createEngine(context.engine, { threads: context.threads });
  try {
    const { factors, diagnostics } = await solveLayer(engine, problem, allocation, {
      reconstruction: method.reconstruction,
      maxIterations: method.max_iterations,
      seed: method.seed,
      signal: context.signal,
      onIteration: (iteration) => {
        context.progress(Math.min(0.95, iteration / Math.max(1, method.max_iterations)));
      },
    });
    const output = join(context.directory, 'output');
    await mkdir(output, { recursive: true });
    await writeFactors(join(output, files.factors), factors);
    return {
      layer: {
        ...row,
        status: 'done',
        relative_error: diagnostics.relativeError,
        relative_error_linear: diagnostics.relativeErrorLinear,
        iterations: diagnostics.iterations,
        primal_residual: diagnostics.primalResidual,
        dual_residual: diagnostics.dualResidual,
        note: diagnostics.note,
        seconds: (performance.now() - started) / 1000,
      },
    };
  } catch (error) {
    // The layer's name belongs into every error of its solve.
    if (error instanceof InputError)
      throw new InputError(error.code, error.message, { faults: error.faults, layer: row.name, cause: error });
    throw error;
  } finally {
    await engine.dispose();
  }
}
