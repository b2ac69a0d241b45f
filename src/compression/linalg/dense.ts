/**
 * Loops over row-major float64 matrices, for sizes up to about two thousand. Inner loops run along rows, because a
 * strided walk costs more than the arithmetic.
 */

/** sum of a[i0 + i] b[j0 + i], i < n */
// oxlint-disable-next-line max-params -- the innermost loop of every factorisation
export function dot(a: Float64Array, i0: number, b: Float64Array, j0: number, n: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 3 < n; i += 4) {
    s0 += a[i0 + i] * b[j0 + i];
    s1 += a[i0 + i + 1] * b[j0 + i + 1];
    s2 += a[i0 + i + 2] * b[j0 + i + 2];
    s3 += a[i0 + i + 3] * b[j0 + i + 3];
  }
  for (; i < n; i++) s0 += a[i0 + i] * b[j0 + i];
  return s0 + s1 + (s2 + s3);
}

/** out[t] = sum of a[i0 + i] b[j0 + t stride + i], i < n: one row against four, which reads it once. */
// oxlint-disable-next-line max-params -- the innermost loop of every factorisation
export function dots(
  a: Float64Array,
  i0: number,
  b: Float64Array,
  j0: number,
  stride: number,
  n: number,
  out: Float64Array,
): void {
  const j1 = j0 + stride;
  const j2 = j1 + stride;
  const j3 = j2 + stride;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  for (let i = 0; i < n; i++) {
    const x = a[i0 + i];
    s0 += x * b[j0 + i];
    s1 += x * b[j1 + i];
    s2 += x * b[j2 + i];
    s3 += x * b[j3 + i];
  }
  out[0] = s0;
  out[1] = s1;
  out[2] = s2;
  out[3] = s3;
}

/** y[j0 + i] -= sum over four rows t of factors[f0 + t] x[i0 + t stride + i], i < n */
// oxlint-disable-next-line max-params -- the innermost loop of every factorisation
export function subtractRows(
  y: Float64Array,
  j0: number,
  x: Float64Array,
  i0: number,
  stride: number,
  n: number,
  factors: Float64Array,
  f0: number,
): void {
  const i1 = i0 + stride;
  const i2 = i1 + stride;
  const i3 = i2 + stride;
  const a = factors[f0];
  const b = factors[f0 + 1];
  const c = factors[f0 + 2];
  const d = factors[f0 + 3];
  for (let i = 0; i < n; i++) {
    const first = a * x[i0 + i] + b * x[i1 + i];
    const second = c * x[i2 + i] + d * x[i3 + i];
    y[j0 + i] = y[j0 + i] - (first + second);
  }
}

/** y[j0 + i] += factor x[i0 + i], i < n */
// oxlint-disable-next-line max-params -- the innermost loop of every factorisation
export function addScaled(y: Float64Array, j0: number, x: Float64Array, i0: number, n: number, factor: number): void {
  for (let i = 0; i < n; i++) y[j0 + i] = y[j0 + i] + factor * x[i0 + i];
}

/** a [rows, inner] b [inner, cols] */
export function multiply64(
  a: Float64Array,
  b: Float64Array,
  { rows, inner, cols }: { rows: number; inner: number; cols: number },
): Float64Array {
  const c = new Float64Array(rows * cols);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      const factor = a[i * inner + k];
      if (factor !== 0) addScaled(c, i * cols, b, k * cols, cols, factor);
    }
  }
  return c;
}

/** Transpose of a [rows, cols]. */
export function transpose64(a: Float64Array, rows: number, cols: number): Float64Array {
  const t = new Float64Array(rows * cols);
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) t[j * rows + i] = a[i * cols + j];
  return t;
}

/** Columns [begin, end) of a [rows, cols]. */
export function columns64(
  a: Float64Array,
  { rows, cols, begin, end }: { rows: number; cols: number; begin: number; end: number },
): Float64Array {
  const width = end - begin;
  const part = new Float64Array(rows * width);
  for (let i = 0; i < rows; i++) part.set(a.subarray(i * cols + begin, i * cols + end), i * width);
  return part;
}
