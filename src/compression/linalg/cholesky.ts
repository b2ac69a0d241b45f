import { InputError } from '../../errors.js';
import { addScaled, dot } from './dense.js';

/**
 * Lower triangular L [n, n] with L Lᵀ = a; `a` is symmetric [n, n] and is not changed.
 * @throws {InputError} `numerical_breakdown` with the pivot, when `a` is not positive definite
 */
export function cholesky(a: Float64Array, n: number, what = 'matrix'): Float64Array {
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      l[i * n + j] = ((a[i * n + j] as number) - dot(l, i * n, l, j * n, j)) / (l[j * n + j] as number);
    }
    const pivot = (a[i * n + i] as number) - dot(l, i * n, l, i * n, i);
    if (!(pivot > 0) || !Number.isFinite(pivot)) {
      throw new InputError(
        'numerical_breakdown',
        `the ${what} (${n} x ${n}) is not positive definite: pivot ${i} is ${pivot.toExponential(3)}, its diagonal ${(a[i * n + i] as number).toExponential(3)}`,
      );
    }
    l[i * n + i] = Math.sqrt(pivot);
  }
  return l;
}

/** The solution X of L X = I, by forward substitution: the map that whitens, applied to many vectors as one product. */
export function lowerSolveIdentity(l: Float64Array, n: number): Float64Array {
  const x = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const factor = l[i * n + j] as number;
      if (factor !== 0) addScaled(x, i * n, x, j * n, j + 1, -factor);
    }
    const diagonal = l[i * n + i] as number;
    for (let j = 0; j < i; j++) x[i * n + j] = (x[i * n + j] as number) / diagonal;
    x[i * n + i] = 1 / diagonal;
  }
  return x;
}
