import { InputError } from '../../errors/index.js';
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
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => diagonal[j] - diagonal[i]);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => vectors.set(rows.subarray(from * n, (from + 1) * n), to * n));
  return { values: Float64Array.from(order, (i) => diagonal[i]), vectors };
}

/**
 * Rows of the result are the columns of the orthogonal Q with Qᵀ a Q tridiagonal. From the last row upwards, on the
 * lower triangle alone, so that every walk is along a row.
 */
function tridiagonalize(
  a: Float64Array,
  n: number,
): { diagonal: Float64Array; offDiagonal: Float64Array; rows: Float64Array } {
  const work = Float64Array.from(a);
  const offDiagonal = new Float64Array(n);
  const reflectors: { v: Float64Array; beta: number }[] = [];
  for (let k = n - 1; k > 1; k--) {
    const v = work.slice(k * n, k * n + k);
    const head = v[k - 1];
    const norm = Math.sqrt(dot(v, 0, v, 0, k));
    const alpha = head > 0 ? -norm : norm;
    offDiagonal[k - 1] = alpha;
    v[k - 1] = head - alpha;
    const square = dot(v, 0, v, 0, k);
    const beta = square > 0 ? 2 / square : 0;
    reflectors[k] = { v, beta };
    if (beta === 0) continue;
    const p = new Float64Array(k);
    for (let i = 0; i < k; i++) symmetricRow(work, i * n, v, p, i);
    for (let i = 0; i < k; i++) p[i] = beta * p[i];
    const half = (beta / 2) * dot(p, 0, v, 0, k);
    for (let i = 0; i < k; i++) p[i] = p[i] - half * v[i];
    for (let i = 0; i < k; i++) subtractTwo(work, i * n, p, v, i + 1, v[i], p[i]);
  }
  if (n > 1) offDiagonal[0] = work[n];
  const diagonal = Float64Array.from({ length: n }, (_, i) => work[i * n + i]);
  const rows = new Float64Array(n * n);
  for (let i = 0; i < n; i++) rows[i * n + i] = 1;
  // Q = H_(n-1) ... H_2: applied from the smallest, a reflector touches the leading block only. Q is kept transposed.
  for (let k = 2; k < n; k++) {
    const { v, beta } = reflectors[k];
    if (beta === 0) continue;
    for (let i = 0; i < k; i++) addScaled(rows, i * n, v, 0, k, -beta * dot(rows, i * n, v, 0, k));
  }
  return { diagonal, offDiagonal, rows };
}

/** Adds what row i of the lower triangle, and its mirror image, give to the product p = work v. */
// oxlint-disable-next-line max-params -- an inner loop of the eigen-solve
function symmetricRow(work: Float64Array, w0: number, v: Float64Array, p: Float64Array, i: number): void {
  const own = v[i];
  let sum = 0;
  for (let j = 0; j < i; j++) {
    const w = work[w0 + j];
    sum += w * v[j];
    p[j] = p[j] + w * own;
  }
  p[i] = sum + work[w0 + i] * own;
}

/** work[w0 + j] -= a p[j] + b v[j], j < size */
// oxlint-disable-next-line max-params -- an inner loop of the eigen-solve
function subtractTwo(
  work: Float64Array,
  w0: number,
  p: Float64Array,
  v: Float64Array,
  size: number,
  a: number,
  b: number,
): void {
  for (let j = 0; j < size; j++) {
    work[w0 + j] = work[w0 + j] - (a * p[j] + b * v[j]);
  }
}

function implicitQl(d: Float64Array, e: Float64Array, rows: Float64Array, n: number): void {
  for (let start = 0; start < n; start++) {
    for (let sweep = 0; ; sweep++) {
      let end = start;
      for (; end < n - 1; end++) {
        const scale = Math.abs(d[end]) + Math.abs(d[end + 1]);
        if (Math.abs(e[end]) <= Number.EPSILON * scale) break;
      }
      if (end === start) break;
      if (sweep === MAX_SWEEPS || !Number.isFinite(d[start])) {
        throw new InputError(
          'numerical_breakdown',
          `eigenvalue ${start} of a ${n} x ${n} matrix did not converge: off-diagonal ${e[start].toExponential(3)}`,
        );
      }
      qlSweep(d, e, rows, n, start, end);
    }
  }
}

/** One implicit QL step with Wilkinson's shift on the unreduced block [start, end]. */
// oxlint-disable-next-line max-params -- an inner loop of the eigen-solve
function qlSweep(d: Float64Array, e: Float64Array, rows: Float64Array, n: number, start: number, end: number): void {
  const first = d[start];
  const coupling = e[start];
  const half = (d[start + 1] - first) / (2 * coupling);
  const root = Math.hypot(half, 1);
  let g = d[end] - first + coupling / (half + (half >= 0 ? root : -root));
  let sine = 1;
  let cosine = 1;
  let carried = 0;
  /** Rows of a rotation that waits to be applied together with the next one. */
  let waiting = -1;
  let waitingCosine = 1;
  let waitingSine = 0;
  for (let i = end - 1; i >= start; i--) {
    const f = sine * e[i];
    const b = cosine * e[i];
    const r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      if (waiting >= 0) rotateRows(rows, n, waiting, waitingCosine, waitingSine);
      // The block split: finish with what is carried and let the next sweep see the smaller block.
      d[i + 1] = d[i + 1] - carried;
      e[end] = 0;
      return;
    }
    sine = f / r;
    cosine = g / r;
    const shifted = d[i + 1] - carried;
    const t = (d[i] - shifted) * sine + 2 * cosine * b;
    carried = sine * t;
    d[i + 1] = shifted + carried;
    g = cosine * t - b;
    if (waiting >= 0) {
      rotateThreeRows(rows, n, i, waitingCosine, waitingSine, cosine, sine);
      waiting = -1;
    } else {
      waiting = i;
      waitingCosine = cosine;
      waitingSine = sine;
    }
  }
  if (waiting >= 0) rotateRows(rows, n, waiting, waitingCosine, waitingSine);
  d[start] = d[start] - carried;
  e[start] = g;
  e[end] = 0;
}

// oxlint-disable-next-line max-params -- an inner loop of the eigen-solve
function rotateRows(rows: Float64Array, n: number, i: number, cosine: number, sine: number): void {
  const low = i * n;
  const high = low + n;
  for (let k = 0; k < n; k++) {
    const x = rows[low + k];
    const y = rows[high + k];
    rows[high + k] = sine * x + cosine * y;
    rows[low + k] = cosine * x - sine * y;
  }
}

/**
 * Rotation (c1, s1) of rows i + 1 and i + 2, then (c2, s2) of rows i and i + 1: the middle row is read and written
 * once.
 */
// oxlint-disable-next-line max-params -- an inner loop of the eigen-solve
function rotateThreeRows(
  rows: Float64Array,
  n: number,
  i: number,
  c1: number,
  s1: number,
  c2: number,
  s2: number,
): void {
  const low = i * n;
  const middle = low + n;
  const high = middle + n;
  for (let k = 0; k < n; k++) {
    const x = rows[low + k];
    const y = rows[middle + k];
    const z = rows[high + k];
    const turned = c1 * y - s1 * z;
    rows[high + k] = s1 * y + c1 * z;
    rows[middle + k] = s2 * x + c2 * turned;
    rows[low + k] = c2 * x - s2 * turned;
  }
}
