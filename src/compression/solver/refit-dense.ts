import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import { applyActivation } from '../prox/activation-function.js';
import { addToRows } from '../linalg/columns.js';
import { addInto } from '../activations/elementwise.js';
import { rawCoefficients } from '../low-rank/factors.js';
import { whitenedFeatures } from '../regression/features.js';
import { leastSquares } from '../regression/fit.js';
import { split } from '../regression/held-out.js';
import { activatedLoss, relative } from '../regression/objective.js';
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
  const fit = async ([x, t, s]: Matrix[], ridge: number) => {
    if (x === undefined || t === undefined) throw new RangeError('no samples');
    const white = await whitenedFeatures(engine, x, { free: d, prior: weights, ridge });
    try {
      const features = { ...white, skip: s };
      const raw = rawCoefficients(
        features,
        await leastSquares(engine, features, t, { rank: 0, warm: null, random: () => 0 }),
      );
      return { weights: Float32Array.from(raw.sparse), bias: raw.bias };
    } finally {
      white.held.dispose();
    }
  };
  const error = async ([x, t, s]: Matrix[], layer: { weights: Float32Array; bias: Float32Array }): Promise<number> => {
    if (x === undefined || t === undefined || s === undefined) throw new RangeError('no samples');
    const response = await engine.multiply(x, matrix(m, d, layer.weights), { transposeB: true });
    addToRows(response, layer.bias);
    addInto(response.data, s.data, response.data);
    const y = applyActivation(problem.activation, t.data);
    return relative(activatedLoss(problem.activation, y, response.data), squaredNorm(y));
  };
  let best: number | null = null;
  let least = await error(test, problem);
  for (const ridge of RIDGES) {
    const seen = await error(test, await fit(train, ridge));
    if (seen < least) [best, least] = [ridge, seen];
  }
  if (best === null) return null;
  const all = [inputs, target, skip];
  const refitted = await fit(all, best);
  return { ...refitted, errorBefore: await error(all, problem), error: await error(all, refitted) };
}
