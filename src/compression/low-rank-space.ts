import { matrix, type Engine, type Matrix } from '../engines/index.js';
import { identityMatrix, leadingRightSubspace } from './rank-step.js';

/** More variables than this are reduced to their leading principal subspace: a Cholesky of 1,024 takes 0.2 s. */
const MAX_VARIABLES = 1024;

/** Columns [N, v] = inputs mapᵀ that the low-rank part acts on, and the coefficients of the original layer on them. */
export interface LowRankSpace {
  columns: Matrix;
  /** [v, d] */
  map: Matrix;
  /** [m, v] */
  prior: Matrix;
}

/** `response`: the layer's own response W0 x, so that L = M W0; `inputs`: the inputs themselves, so that any L is possible. */
export async function lowRankSpace(
  engine: Engine,
  kind: 'response' | 'inputs',
  rank: number,
  response: Matrix,
  inputs: Matrix,
  weights: Matrix,
  random: () => number,
): Promise<LowRankSpace> {
  if (rank === 0)
    return { columns: matrix(inputs.rows, 0), map: matrix(0, inputs.cols), prior: matrix(weights.rows, 0) };
  const limit = Math.max(1, Math.min(MAX_VARIABLES, inputs.rows - 1));
  if (kind === 'response') {
    if (response.cols <= limit) return { columns: response, map: weights, prior: identityMatrix(weights.rows) };
    const basis = await leadingRightSubspace(engine, response, limit, random);
    const columns = await engine.multiply(response, basis);
    return { columns, map: await engine.multiply(basis, weights, { a: true }), prior: basis };
  }
  if (inputs.cols <= limit) return { columns: inputs, map: identityMatrix(inputs.cols), prior: weights };
  const basis = await leadingRightSubspace(engine, inputs, limit, random);
  const identity = identityMatrix(basis.cols);
  return {
    columns: await engine.multiply(inputs, basis),
    map: await engine.multiply(identity, basis, { b: true }),
    prior: await engine.multiply(weights, basis),
  };
}
