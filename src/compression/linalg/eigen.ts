import { InfrastructureError } from '../../errors.js';
import { addScaled, dot } from './dense.js';

export interface Eigen {
  /** Descending. */
  values: Float64Array;
  /** Row i is the eigenvector of values[i], [n, n]. */
  vectors: Float64Array;
}

const MAX_SWEEPS = 60;

/**
 * Eigenvalues and eigenvectors of a symmetric [n, n] matrix: Householder reduction to tridiagonal form, then implicitly
 * shifted QL (Golub and Van Loan, Matrix Computations, sections 8.3.1 and 8.3.5). Vectors are kept as rows throughout.
 */
export function symmetricEigen(a: Float64Array, n: number): Eigen {
  const { diagonal, offDiagonal, rows } = tridiagonalize(a, n);
  implicitQl(diagonal, offDiagonal, rows, n);
  const order = Array.from({ length: n }, (_, i) => i).sort(
    (i, j) => (diagonal[j] as number) - (diagonal[i] as number),
  );
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => vectors.set(rows.subarray(from * n, (from + 1) * n), to * n));
  return { values: Float64Array.from(order, (i) => diagonal[i] as number), vectors };
}

/** Rows of the result are the columns of the orthogonal Q with Qᵀ a Q tridiagonal. */
function tridiagonalize(
  a: Float64Array,
  n: number,
): { diagonal: Float64Array; offDiagonal: Float64Array; rows: Float64Array } {
  const work = Float64Array.from(a);
  const offDiagonal = new Float64Array(n);
  const reflectors: { v: Float64Array; beta: number }[] = [];
  for (let k = 0; k + 2 < n; k++) {
    const size = n - k - 1;
    const v = new Float64Array(n);
    for (let i = k + 1; i < n; i++) v[i] = work[k * n + i] as number;
    const norm = Math.sqrt(dot(v, k + 1, v, k + 1, size));
    const head = v[k + 1] as number;
    const alpha = head > 0 ? -norm : norm;
    offDiagonal[k] = alpha;
    v[k + 1] = head - alpha;
    const square = dot(v, k + 1, v, k + 1, size);
    const beta = square > 0 ? 2 / square : 0;
    reflectors.push({ v, beta });
    if (beta === 0) continue;
    const p = new Float64Array(n);
    for (let i = k + 1; i < n; i++) p[i] = beta * dot(work, i * n + k + 1, v, k + 1, size);
    const half = (beta / 2) * dot(p, k + 1, v, k + 1, size);
    for (let i = k + 1; i < n; i++) p[i] = (p[i] as number) - half * (v[i] as number);
    for (let i = k + 1; i < n; i++) {
      subtractTwo(work, i * n + k + 1, p, v, k + 1, size, v[i] as number, p[i] as number);
    }
  }
  if (n > 1) offDiagonal[n - 2] = work[(n - 2) * n + n - 1] as number;
  const diagonal = Float64Array.from({ length: n }, (_, i) => work[i * n + i] as number);
  const rows = new Float64Array(n * n);
  for (let i = 0; i < n; i++) rows[i * n + i] = 1;
  // Q = H_0 H_1 ...: applied from the last, a reflector touches the trailing block only. Q is kept transposed.
  for (let k = reflectors.length - 1; k >= 0; k--) {
    const { v, beta } = reflectors[k] as { v: Float64Array; beta: number };
    if (beta === 0) continue;
    const size = n - k - 1;
    for (let i = k + 1; i < n; i++) {
      const projection = beta * dot(rows, i * n + k + 1, v, k + 1, size);
      addScaled(rows, i * n + k + 1, v, k + 1, size, -projection);
    }
  }
  return { diagonal, offDiagonal, rows };
}

/** work[w0 + j] -= a p[j0 + j] + b v[j0 + j], j < size: both halves of the symmetric update in one pass. */
function subtractTwo(
  work: Float64Array,
  w0: number,
  p: Float64Array,
  v: Float64Array,
  j0: number,
  size: number,
  a: number,
  b: number,
): void {
  for (let j = 0; j < size; j++) {
    work[w0 + j] = (work[w0 + j] as number) - (a * (p[j0 + j] as number) + b * (v[j0 + j] as number));
  }
}

function implicitQl(d: Float64Array, e: Float64Array, rows: Float64Array, n: number): void {
  for (let start = 0; start < n; start++) {
    for (let sweep = 0; ; sweep++) {
      let end = start;
      for (; end < n - 1; end++) {
        const scale = Math.abs(d[end] as number) + Math.abs(d[end + 1] as number);
        if (Math.abs(e[end] as number) <= Number.EPSILON * scale) break;
      }
      if (end === start) break;
      if (sweep === MAX_SWEEPS || !Number.isFinite(d[start] as number)) {
        throw new InfrastructureError(
          'numerical_breakdown',
          `eigenvalue ${start} of a ${n} x ${n} matrix did not converge: off-diagonal ${(e[start] as number).toExponential(3)}`,
        );
      }
      qlSweep(d, e, rows, n, start, end);
    }
  }
}

/** One implicit QL step with Wilkinson's shift on the unreduced block [start, end]. */
function qlSweep(d: Float64Array, e: Float64Array, rows: Float64Array, n: number, start: number, end: number): void {
  const first = d[start] as number;
  const coupling = e[start] as number;
  const half = ((d[start + 1] as number) - first) / (2 * coupling);
  const root = Math.hypot(half, 1);
  let g = (d[end] as number) - first + coupling / (half + (half >= 0 ? root : -root));
  let sine = 1;
  let cosine = 1;
  let carried = 0;
  for (let i = end - 1; i >= start; i--) {
    const f = sine * (e[i] as number);
    const b = cosine * (e[i] as number);
    const r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      // The block split: finish with what is carried and let the next sweep see the smaller block.
      d[i + 1] = (d[i + 1] as number) - carried;
      e[end] = 0;
      return;
    }
    sine = f / r;
    cosine = g / r;
    const shifted = (d[i + 1] as number) - carried;
    const t = ((d[i] as number) - shifted) * sine + 2 * cosine * b;
    carried = sine * t;
    d[i + 1] = shifted + carried;
    g = cosine * t - b;
    rotateRows(rows, n, i, cosine, sine);
  }
  d[start] = (d[start] as number) - carried;
  e[start] = g;
  e[end] = 0;
}

function rotateRows(rows: Float64Array, n: number, i: number, cosine: number, sine: number): void {
  const low = i * n;
  const high = low + n;
  for (let k = 0; k < n; k++) {
    const x = rows[low + k] as number;
    const y = rows[high + k] as number;
    rows[high + k] = sine * x + cosine * y;
    rows[low + k] = cosine * x - sine * y;
  }
}
