import { InputError } from '../../errors/index.js';
import { firstNotFinite } from '../../errors/not-finite.js';
import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import type { Factors } from '../../models/layer.js';
import { addToRows } from '../linalg/columns.js';
import type { Whitening } from '../regression/features.js';
import type { Coefficients } from '../regression/fit.js';
import type { Patch } from '../../models/low-rank/index.js';
import { lastFactor } from './index.js';
import { sparseResponse } from '../regression/sparse-response.js';
import { columns64, multiply64 } from '../linalg/dense.js';

/** Coefficients of a fit on the raw columns: `sparse` [m, free] and left right, right [k, n - free]; and the bias. */
export interface RawCoefficients {
  sparse: Float64Array;
  left: Matrix | null;
  right: Float64Array;
  bias: Float32Array;
}

/** Undoes the whitening: K C⁻¹, block by block, in double precision. */
export function rawCoefficients(
  { n, free, whiten, mean }: Omit<Whitening, 'pull'>,
  fit: Coefficients,
): RawCoefficients {
  const m = fit.freePart.rows;
  const rest = n - free;
  const top = columns64(whiten.subarray(0, free * n), { rows: free, cols: n, begin: 0, end: free });
  const sparse = multiply64(Float64Array.from(fit.freePart.data), top, { rows: m, inner: free, cols: free });
  let right = new Float64Array(0);
  let left: Matrix | null = null;
  if (fit.lowRank !== null) {
    left = fit.lowRank.left;
    const k = left.cols;
    const bottom = whiten.subarray(free * n);
    const whitened = Float64Array.from(fit.lowRank.right.data);
    right = multiply64(whitened, columns64(bottom, { rows: rest, cols: n, begin: free, end: n }), {
      rows: k,
      inner: rest,
      cols: rest,
    }) as Float64Array<ArrayBuffer>;
    if (free > 0) {
      const cross = multiply64(whitened, columns64(bottom, { rows: rest, cols: n, begin: 0, end: free }), {
        rows: k,
        inner: rest,
        cols: free,
      });
      const leakage = multiply64(Float64Array.from(left.data), cross, { rows: m, inner: k, cols: free });
      for (let i = 0; i < sparse.length; i++) sparse[i] = sparse[i] + leakage[i];
    }
  }
  const bias = new Float32Array(m);
  const projectedMean =
    left === null ? null : multiply64(right, mean.subarray(free), { rows: left.cols, inner: rest, cols: 1 });
  for (let i = 0; i < m; i++) {
    let value = fit.mean[i];
    for (let j = 0; j < free; j++) value -= sparse[i * free + j] * mean[j];
    if (left !== null && projectedMean !== null) {
      for (let j = 0; j < left.cols; j++) value -= left.data[i * left.cols + j] * projectedMean[j];
    }
    bias[i] = value;
  }
  return { sparse, left, right, bias };
}

/** Response of the factored layer to inputs [N, d], before the activation. */
export async function factoredResponse(
  engine: Engine,
  factors: Factors,
  inputs: Matrix,
  patch: Patch,
): Promise<Matrix> {
  const m = factors.bias.length;
  let out = matrix(inputs.rows, m);
  if (factors.lowRank !== null) {
    const { columns, coefficients } = await lastFactor({ engine, part: factors.lowRank, inputs, patch });
    out = await engine.multiply(columns, coefficients, { transposeB: true });
  }
  if (factors.sparse !== null) {
    const part = await sparseResponse(engine, factors.sparse, inputs, { m, taps: patch.taps });
    for (let i = 0; i < out.data.length; i++) out.data[i] = out.data[i] + part.data[i];
  }
  return addToRows(out, factors.bias);
}

/** @throws {InputError} `numerical_breakdown`: no artifact may hold a NaN */
export function requireFiniteFactors(factors: Factors): Factors {
  const parts = {
    bias: factors.bias,
    basis: factors.lowRank?.basis,
    q: factors.lowRank?.q,
    p: factors.lowRank?.p,
    sparse: factors.sparse?.weights,
  };
  for (const [name, values] of Object.entries(parts)) {
    const at = values == null ? null : firstNotFinite(values);
    if (at !== null)
      throw new InputError('numerical_breakdown', `the solution's ${name} is ${String(values?.[at])} at ${at}`);
  }
  return factors;
}
