import { matrix, rowsOf, type Engine, type Matrix } from '../../engines/index.js';
import { DENSE, type Factors, type LowRank } from '../../models/layer.js';
import { groupsOf, isMasked, type SparsePart } from '../../models/sparse/index.js';
import { addInto } from '../activations/elementwise.js';
import { beside, channelColumns, columnRange } from '../linalg/columns.js';
import { factoredResponse, rawCoefficients, requireFiniteFactors } from '../low-rank/factors.js';
import { checkProblem, type LayerProblem } from '../problem.js';
import { applyActivation } from '../prox/activation-function.js';
import { noFeatures, whitenedFeatures, type Features, type Lean } from '../regression/features.js';
import type { Fit } from '../regression/fit.js';
import { activatedLoss, relative } from '../regression/objective.js';
import { squaredNorm } from '../regression/rank-step.js';
import { sparsePartOf } from '../sparse/masked-part.js';
import { chooseLean, type TryLean } from './choose-lean.js';
import { chooseSupport, type ChosenSupport } from './choose-support.js';
import { fitActivated, type SolveDiagnostics } from './fit-activated.js';
import { setUp, targetOf, type LayerRun, type SolveOptions, type SolveSize } from './set-up.js';

export type { SolveDiagnostics } from './fit-activated.js';
export type { SolveOptions, SolveSize } from './set-up.js';

export interface SolvedLayer {
  factors: Factors;
  diagnostics: SolveDiagnostics;
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
  const lean = options.lean ?? (await chooseLean(given, { isFree }, tryLean(engine, wanted, options)));
  return solveLeaning(engine, given, wanted, { ...options, lean });
}

/** The linear fit with a pull, held against samples that it did not see. */
const tryLean =
  (engine: Engine, wanted: SolveSize, options: SolveOptions): TryLean =>
  async (lean, train, test) => {
    options.signal?.throwIfAborted();
    const linear: SolveOptions = { ...options, reconstruction: 'linear', maxIterations: 0, lean };
    const { factors } = await solveLeaning(engine, train, wanted, linear);
    const shape = checkProblem(test);
    const inputs = matrix(shape.samples, shape.d, test.inputs);
    const response = await engine.multiply(inputs, matrix(shape.m, shape.d, test.weights), { transposeB: true });
    return errorOf({ engine, inputs, target: targetOf(test, shape, response) }, test, factors);
  };

async function solveLeaning(
  engine: Engine,
  given: LayerProblem,
  wanted: SolveSize,
  options: SolveOptions,
): Promise<SolvedLayer> {
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

/** The columns of the sparse part, without a rank limit, then those of the low-rank part. */
async function featuresOf(run: LayerRun, support: ChosenSupport): Promise<Features> {
  const { engine, shape, inputs, space, skip, metric, ridge } = run;
  const sparse = channelColumns(inputs, support.groups, support.width);
  const columns = beside(sparse, space.columns);
  const prior = beside(matrix(shape.m, sparse.cols), space.prior);
  const free = space.limited ? sparse.cols : columns.cols;
  const white =
    columns.cols === 0
      ? noFeatures(shape.samples)
      : await whitenedFeatures(engine, columns, { free, prior, ridge, lean: await leanOn(run, support) });
  return { ...white, skip, metric, masked: support.masked?.part };
}

/** What leaning on the original weights costs and where it pulls, by the columns of the features. */
async function leanOn(
  { engine, weights, shape, space, lean }: LayerRun,
  { groups, width }: ChosenSupport,
): Promise<Lean | null> {
  if (lean === 0) return null;
  const sparse = groups.flatMap((group) => Array.from({ length: width }, (_, tap) => group * width + tap));
  const low = await space.onInputs();
  const rows = matrix(sparse.length + low.rows, shape.d);
  for (const [row, column] of sparse.entries()) rows.data[row * shape.d + column] = 1;
  rows.data.set(low.data, sparse.length * shape.d);
  const [penalty, toward] = [
    await engine.multiply(rows, rows, { transposeB: true }),
    await engine.multiply(weights, rows, { transposeB: true }),
  ];
  for (const { data } of [penalty, toward]) for (let i = 0; i < data.length; i++) data[i] = lean * data[i];
  return { penalty, toward };
}

/** The factors of a fit on the whitened columns. */
async function factorsOf(run: LayerRun, support: ChosenSupport, features: Features, fit: Fit): Promise<Factors> {
  const { shape, size, space } = run;
  const { groups, masked } = support;
  const sparseColumns = groups.length * support.width;
  const raw = rawCoefficients(features, fit);
  const unlimited = matrix(shape.m, features.free, Float32Array.from(raw.sparse));
  let lowRank: LowRank | null = null;
  if (raw.left !== null) {
    const right = matrix(raw.left.cols, space.columns.cols, Float32Array.from(raw.right));
    lowRank = await space.factors(raw.left, right);
  } else if (!space.limited) lowRank = await space.factors(columnRange(unlimited, sparseColumns, features.free), null);
  let sparse: SparsePart | null = null;
  if (groups.length > 0)
    sparse = { pattern: size.pattern, kept: groups, weights: columnRange(unlimited, 0, sparseColumns).data };
  if (masked !== null && isMasked(size.pattern) && fit.masked !== undefined) {
    sparse = sparsePartOf(size.pattern, masked.kept, fit.masked);
    subtractMeans(raw.bias, fit.masked, masked.part.inputs.mean);
  }
  return { lowRank, sparse, bias: raw.bias };
}

/** The regression was on centred inputs. */
function subtractMeans(bias: Float32Array, { data, cols }: Matrix, mean: Float64Array): void {
  for (let i = 0; i < bias.length; i++) {
    let value = bias[i];
    for (let j = 0; j < cols; j++) value -= data[i * cols + j] * mean[j];
    bias[i] = value;
  }
}

/**
 * The error of the factors themselves, after all rounding, on the samples that were given: added ones come after them.
 */
async function errorOf(
  { engine, inputs, target }: Pick<LayerRun, 'engine' | 'inputs' | 'target'>,
  given: LayerProblem,
  factors: Factors,
): Promise<number> {
  const samples = given.inputs.length / inputs.cols;
  const y = applyActivation(given.activation, rowsOf(target, 0, samples).data);
  const response = await factoredResponse(engine, factors, rowsOf(inputs, 0, samples), given);
  if (given.skip !== undefined) addInto(response.data, given.skip, response.data);
  const loss = activatedLoss(given.activation, y, response.data);
  return relative(loss, squaredNorm(y));
}
