import { InputError } from '../../errors/index.js';
import { addScaled, dot, dots, subtractRows } from './dense.js';

/**
 * Lower triangular L [n, n] with L Lᵀ = a; `a` is symmetric [n, n] and is not changed. Row by row, four entries of a
 * row at a time, which read the row once.
 * @throws {InputError} `numerical_breakdown` with the pivot, when `a` is not positive definite
 */
export function cholesky(a: Float64Array, n: number, what = 'matrix'): Float64Array {
  const l = new Float64Array(n * n);
  const sums = new Float64Array(4);
  for (let i = 0; i < n; i++) {
    let j = 0;
    for (; j + 4 <= i; j += 4) {
      dots(l, i * n, l, j * n, n, j, sums);
      for (let t = 0; t < 4; t++) {
        const inside = dot(l, i * n + j, l, (j + t) * n + j, t);
        const rest = a[i * n + j + t] - sums[t] - inside;
        l[i * n + j + t] = rest / l[(j + t) * n + j + t];
      }
    }
    for (; j < i; j++) {
      l[i * n + j] = (a[i * n + j] - dot(l, i * n, l, j * n, j)) / l[j * n + j];
    }
    const pivot = a[i * n + i] - dot(l, i * n, l, i * n, i);
    if (!(pivot > 0) || !Number.isFinite(pivot)) {
      throw new InputError(
        'numerical_breakdown',
        `the ${what} (${n} x ${n}) is not positive definite: pivot ${i} is ${pivot.toExponential(3)}, its diagonal ${a[i * n + i].toExponential(3)}`,
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
    let j = 0;
    // Rows of X are zero behind their diagonal: four of them end together.
    for (; j + 4 <= i; j += 4) subtractRows(x, i * n, x, j * n, n, j + 4, l, i * n + j);
    for (; j < i; j++) addScaled(x, i * n, x, j * n, j + 1, -l[i * n + j]);
    const diagonal = l[i * n + i];
    for (j = 0; j < i; j++) x[i * n + j] = x[i * n + j] / diagonal;
    x[i * n + i] = 1 / diagonal;
  }
  return x;
}
