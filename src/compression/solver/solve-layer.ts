import type { Engine } from '../../engines/index.js';
import { DENSE, type Factors } from '../../models/layer.js';
import { groupsOf, isMasked, PLAIN_PATTERN } from '../../models/sparse/index.js';
import { requireFiniteFactors } from '../low-rank/factors.js';
import type { LayerProblem } from '../problem.js';
import { noFeatures, whitenedFeatures, type Features } from '../regression/features.js';
import { chooseLean } from './choose-lean.js';
import { chooseSupport, type ChosenSupport } from './choose-support.js';
import { fitActivated, type SolveDiagnostics } from './fit-activated.js';
import { errorOf, factorsOf, leanOn, regressorsOf, scaledLean } from './layer-fit.js';
import { leanTrials, sharingFits, type LeaningFits } from './lean-trials.js';
import { setUp, type LayerRun, type SolveOptions, type SolveSize } from './set-up.js';

export type { SolveDiagnostics } from './fit-activated.js';
export type { SolveOptions, SolveSize } from './set-up.js';

export interface SolvedLayer {
  factors: Factors;
  diagnostics: SolveDiagnostics;
  /** How far the fit leans on the original weights, as in the options. */
  lean: number;
}

/**
 * Fits a low-rank part of the given shape and a sparse part of `groups` kept groups to one layer: chooses the support
 * of the sparse part, whitens the columns that both parts act on, fits their coefficients, undoes the whitening, and
 * measures the factors as they are returned.
 */
export async function solveLayer(
  engine: Engine,
  given: LayerProblem,
  wanted: SolveSize,
  options: SolveOptions,
): Promise<SolvedLayer> {
  const isFree = wanted.rank === 0;
  const isWhole = isMasked(wanted.pattern ?? PLAIN_PATTERN) && wanted.groups > 0;
  const fits = (isWhole ? wholeFits : sharingFits)(engine, wanted, options);
  const lean = options.lean ?? (await chooseLean(given, { isFree }, leanTrials(engine, fits)));
  return { ...(await solveLeaning(engine, given, wanted, { ...options, lean })), lean };
}

/** Each from the beginning. */
const wholeFits =
  (engine: Engine, wanted: SolveSize, options: SolveOptions): LeaningFits =>
  (train) =>
  async (lean) => {
    options.signal?.throwIfAborted();
    const linear: SolveOptions = { ...options, reconstruction: 'linear', maxIterations: 0, lean };
    return (await solveLeaning(engine, train, wanted, linear)).factors;
  };

async function solveLeaning(
  engine: Engine,
  given: LayerProblem,
  wanted: SolveSize,
  options: SolveOptions,
): Promise<Pick<SolvedLayer, 'factors' | 'diagnostics'>> {
  const run = await setUp(engine, given, wanted, options);
  const support = await chooseSupport(run);
  try {
    const features = await featuresOf(run, support);
    try {
      const { fit, diagnostics } = await fitActivated(run, features);
      const factors = requireFiniteFactors(await factorsOf(run, support, features, fit));
      return { factors, diagnostics: { ...diagnostics, relativeError: await errorOf(run, given, factors) } };
    } finally {
      features.held.dispose();
    }
  } finally {
    support.dispose();
  }
}

/**
 * Keeps the support of S and the functionals of a first convolution; solves for everything else anew on
 * `problem.inputs` against `problem.target`, the sequential step that compensates what the layers before have lost.
 */
export function refitLayer(
  engine: Engine,
  problem: LayerProblem,
  factors: Factors,
  options: SolveOptions,
): Promise<SolvedLayer> {
  const { shape, rank, inner } = factors.lowRank ?? DENSE;
  const { sparse, bias } = factors;
  const groups = sparse === null ? 0 : groupsOf(sparse, bias.length);
  const size = { shape, rank, inner, groups, ...(sparse === null ? {} : { pattern: sparse.pattern }) };
  return solveLayer(engine, problem, size, { ...options, keep: factors });
}

async function featuresOf(run: LayerRun, support: ChosenSupport): Promise<Features> {
  const { engine, shape, skip, metric, ridge, lean } = run;
  const { raw, free, prior } = regressorsOf(run, support);
  const rest = { skip, metric, masked: support.masked?.part };
  if (raw.cols === 0) return { ...noFeatures(shape.samples), ...rest };
  const options = { free, prior, ridge, lean: lean === 0 ? null : scaledLean(await leanOn(run, support), lean) };
  return { ...(await whitenedFeatures(engine, raw, options)), ...rest };
}
