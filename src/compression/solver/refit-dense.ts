import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import { addToRows, difference } from '../linalg/columns.js';
import { addInto } from '../activations/elementwise.js';
import { rawCoefficients } from '../low-rank/factors.js';
import { columnsOf, whiteningOf } from '../regression/features.js';
import { coefficientsOf, targetsOf } from '../regression/fit.js';
import { split } from '../regression/held-out.js';
import { activated, activatedLoss, relative } from '../regression/objective.js';
import { checkProblem, type LayerProblem } from '../problem.js';
import { squaredNorm } from '../regression/rank-step.js';

/** Strengths that are tried, relative to the variance of each input. */
const RIDGES = [3e-3, 3e-2, 3e-1];

export interface RefittedDense {
  /** [m, d] */
  weights: Float32Array;
  /** [m] */
  bias: Float32Array;
  /** || Y - r(response) ||² / || Y ||² over all samples, before and after. */
  errorBefore: number;
  error: number;
}

/**
 * A layer that stays dense makes up for what the layers before it have lost: ridge regression of the original network's
 * response on the compressed network's inputs, pulled towards the original weights (asymmetric reconstruction, Zhang et
 * al. 2015, arXiv 1505.06798, section 3.3, with no rank limit). The strength of the pull is the one that does best on
 * held-out samples; null when none beats the original weights there.
 *
 * @param problem with `target`
 */
export async function refitDense(engine: Engine, problem: LayerProblem): Promise<RefittedDense | null> {
  const { m, d, samples } = checkProblem(problem);
  if (problem.target === undefined) throw new RangeError('a dense layer is refitted against a target');
  const weights = matrix(m, d, problem.weights);
  const inputs = matrix(samples, d, problem.inputs);
  const target = matrix(samples, m, problem.target);
  const skip = matrix(samples, m, problem.skip ?? new Float32Array(samples * m));
  const parts = [inputs, target, skip].map(split);
  const [train, test] = [0, 1].map((i) => parts.map((part) => part[i])) as [Matrix[], Matrix[]];
  const regression = async ([x, t, s]: Matrix[]) => {
    if (x === undefined || t === undefined || s === undefined) throw new RangeError('no samples');
    const columns = await columnsOf(engine, x);
    const targets = await targetsOf(engine, columns, difference(t, s));
    return async (ridge: number) => {
      const whitening = await whiteningOf(engine, columns, { free: d, prior: weights, ridge });
      const fitted = await coefficientsOf(engine, whitening, targets, { rank: 0, random: () => 0 });
      const raw = rawCoefficients(whitening, fitted);
      return { weights: Float32Array.from(raw.sparse), bias: raw.bias };
    };
  };
  const error = async ([x, t, s]: Matrix[], layer: { weights: Float32Array; bias: Float32Array }): Promise<number> => {
    if (x === undefined || t === undefined || s === undefined) throw new RangeError('no samples');
    const response = await engine.multiply(x, matrix(m, d, layer.weights), { transposeB: true });
    addToRows(response, layer.bias);
    addInto(response.data, s.data, response.data);
    const y = activated(problem.activation, t.data);
    return relative(activatedLoss(problem.activation, y, response.data), squaredNorm(y));
  };
  let best: number | null = null;
  let least = await error(test, problem);
  const fit = await regression(train);
  for (const ridge of RIDGES) {
    const seen = await error(test, await fit(ridge));
    if (seen < least) [best, least] = [ridge, seen];
  }
  if (best === null) return null;
  const all = [inputs, target, skip];
  const refitted = await (await regression(all))(best);
  return { ...refitted, errorBefore: await error(all, problem), error: await error(all, refitted) };
}
