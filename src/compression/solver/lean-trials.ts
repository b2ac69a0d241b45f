import { matrix, type Engine } from '../../engines/index.js';
import type { Factors } from '../../models/layer.js';
import { difference } from '../linalg/columns.js';
import { requireFiniteFactors } from '../low-rank/factors.js';
import { isSameForAllLeans } from '../low-rank/index.js';
import { checkProblem, type LayerProblem } from '../problem.js';
import { columnsOf, whiteningOf, type Lean } from '../regression/features.js';
import { coefficientsOf, targetsOf } from '../regression/fit.js';
import type { LeanTrials } from './choose-lean.js';
import { chooseSupport } from './choose-support.js';
import { errorOf, factorsOf, leanOn, regressorsOf, scaledLean } from './layer-fit.js';
import { setUp, targetOf, unitOfLean, type LayerRun, type SolveOptions, type SolveSize } from './set-up.js';

/** The linear fit to samples, by how far it leans on the original weights. */
export type LeaningFits = (train: LayerProblem) => (strength: number) => Promise<Factors>;

/** Fits held against samples that they did not see. */
export const leanTrials =
  (engine: Engine, fits: LeaningFits): LeanTrials =>
  (train, test) => {
    const fit = fits(train);
    let seen: Promise<Pick<LayerRun, 'engine' | 'inputs' | 'target'>> | null = null;
    return async (strength) => {
      const factors = await fit(strength);
      seen ??= laidOut(engine, test);
      return errorOf(await seen, test, factors);
    };
  };

async function laidOut(engine: Engine, test: LayerProblem): Promise<Pick<LayerRun, 'engine' | 'inputs' | 'target'>> {
  const shape = checkProblem(test);
  const inputs = matrix(shape.samples, shape.d, test.inputs);
  const response = await engine.multiply(inputs, matrix(shape.m, shape.d, test.weights), { transposeB: true });
  return { engine, inputs, target: targetOf(test, shape, response) };
}

/**
 * What no strength changes is made once: the support, the columns and their products, which are most of the work. For all but a sparse part whose
 * outputs see different inputs.
 */
export const sharingFits =
  (engine: Engine, wanted: SolveSize, options: SolveOptions): LeaningFits =>
  (train) => {
    let shared: ((strength: number) => Promise<Factors>) | null = null;
    return async (strength) => {
      options.signal?.throwIfAborted();
      if (shared !== null) return shared(strength);
      const run = await setUp(engine, train, wanted, { ...options, lean: strength });
      const fit = await fitsOf(run);
      if (isSameForAllLeans(run)) shared = fit;
      return fit(strength);
    };
  };

/** Linear fits on one choice of columns. */
async function fitsOf(run: LayerRun): Promise<(strength: number) => Promise<Factors>> {
  const { engine, inputs, target, skip, metric, rank, ridge, random } = run;
  const support = await chooseSupport(run);
  const { raw, free, prior } = regressorsOf(run, support);
  const columns = await columnsOf(engine, raw);
  const targets = await targetsOf(engine, columns, skip === undefined ? target : difference(target, skip));
  const unit = unitOfLean(inputs);
  let whole: Promise<Lean> | null = null;
  return async (strength) => {
    const lean = strength === 0 ? null : scaledLean(await (whole ??= leanOn(run, support)), strength * unit);
    const whitening = await whiteningOf(engine, columns, { free, prior, ridge, lean });
    const fit = await coefficientsOf(engine, { ...whitening, metric }, targets, { rank, random });
    return requireFiniteFactors(await factorsOf(run, support, whitening, fit));
  };
}
