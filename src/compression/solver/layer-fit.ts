import { matrix, rowsOf, type Matrix } from '../../engines/index.js';
import type { Factors, LowRank } from '../../models/layer.js';
import { isMasked, type SparsePart } from '../../models/sparse/index.js';
import { addInto } from '../activations/elementwise.js';
import { beside, channelColumns, columnRange } from '../linalg/columns.js';
import { factoredResponse, rawCoefficients } from '../low-rank/factors.js';
import type { LayerProblem } from '../problem.js';
import type { Lean, Whitening } from '../regression/features.js';
import type { Coefficients } from '../regression/fit.js';
import { activated, activatedLoss, relative } from '../regression/objective.js';
import { squaredNorm } from '../regression/rank-step.js';
import { sparsePartOf } from '../sparse/masked-part.js';
import type { ChosenSupport } from './choose-support.js';
import type { LayerRun } from './set-up.js';

/** What a layer is regressed on: the columns of the sparse part, without a rank limit, then those of the low-rank part. */
export interface Regressors {
  /** [N, n] */
  raw: Matrix;
  free: number;
  /** [m, n]: the coefficients that the ridge pulls towards. */
  prior: Matrix;
}

export function regressorsOf({ shape, inputs, space }: LayerRun, support: ChosenSupport): Regressors {
  const sparse = channelColumns(inputs, support.groups, support.width);
  const raw = beside(sparse, space.columns);
  const prior = beside(matrix(shape.m, sparse.cols), space.prior);
  return { raw, free: space.limited ? sparse.cols : raw.cols, prior };
}

/** What leaning on the original weights costs and where it pulls, by the columns of the regressors, for a strength of 1. */
export async function leanOn(
  { engine, weights, shape, space }: LayerRun,
  { groups, width }: ChosenSupport,
): Promise<Lean> {
  const sparse = groups.flatMap((group) => Array.from({ length: width }, (_, tap) => group * width + tap));
  const low = await space.onInputs();
  const rows = matrix(sparse.length + low.rows, shape.d);
  for (const [row, column] of sparse.entries()) rows.data[row * shape.d + column] = 1;
  rows.data.set(low.data, sparse.length * shape.d);
  return {
    penalty: await engine.multiply(rows, rows, { transposeB: true }),
    toward: await engine.multiply(weights, rows, { transposeB: true }),
  };
}

export function scaledLean({ penalty, toward }: Lean, strength: number): Lean {
  const scaled = ({ rows, cols, data }: Matrix): Matrix => {
    const out = matrix(rows, cols);
    for (let i = 0; i < data.length; i++) out.data[i] = strength * data[i];
    return out;
  };
  return { penalty: scaled(penalty), toward: scaled(toward) };
}

/** The factors of a fit on the whitened columns. */
export async function factorsOf(
  run: LayerRun,
  support: ChosenSupport,
  whitening: Whitening,
  fit: Coefficients & { masked?: Matrix },
): Promise<Factors> {
  const { shape, size, space } = run;
  const { groups, masked } = support;
  const sparseColumns = groups.length * support.width;
  const raw = rawCoefficients(whitening, fit);
  const unlimited = matrix(shape.m, whitening.free, Float32Array.from(raw.sparse));
  let lowRank: LowRank | null = null;
  if (raw.left !== null) {
    const right = matrix(raw.left.cols, space.columns.cols, Float32Array.from(raw.right));
    lowRank = await space.factors(raw.left, right);
  } else if (!space.limited) lowRank = await space.factors(columnRange(unlimited, sparseColumns, whitening.free), null);
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
export async function errorOf(
  { engine, inputs, target }: Pick<LayerRun, 'engine' | 'inputs' | 'target'>,
  given: LayerProblem,
  factors: Factors,
): Promise<number> {
  const samples = given.inputs.length / inputs.cols;
  const y = activated(given.activation, rowsOf(target, 0, samples).data);
  const response = await factoredResponse(engine, factors, rowsOf(inputs, 0, samples), given);
  if (given.skip !== undefined) addInto(response.data, given.skip, response.data);
  const loss = activatedLoss(given.activation, y, response.data);
  return relative(loss, squaredNorm(y));
}
