import { describe, expect, it } from 'vitest';
import { cholesky, lowerSolveIdentity } from '../../src/compression/linalg/cholesky.js';
import { multiply64, transpose64 } from '../../src/compression/linalg/dense.js';
import { symmetricEigen } from '../../src/compression/linalg/eigen.js';
import { orthonormal, rankStep, leadingRightSubspace } from '../../src/compression/regression/rank-step.js';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';
import { createEngine, matrix } from '../../src/engines/index.js';
import { InputError } from '../../src/errors/index.js';

const random = seededRandom(11);
const draw = (n: number): Float64Array => Float64Array.from(normals(n, random));

function gap(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let worst = a.length === b.length ? 0 : Infinity;
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs((a[i] ?? NaN) - (b[i] ?? NaN)));
  return worst;
}
const identity = (n: number): Float64Array =>
  Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
function positive(n: number): Float64Array {
  const b = draw(n * n);
  const a = multiply64(b, transpose64(b, n, n), { rows: n, inner: n, cols: n });
  for (let i = 0; i < n; i++) a[i * n + i] = (a[i * n + i] ?? 0) + 0.1;
  return a;
}

describe.each([1, 2, 3, 7, 40, 129])('size %i', (n) => {
  it('factors a positive definite matrix and solves with the factor', () => {
    const a = positive(n);
    const l = cholesky(a, n);
    expect(gap(multiply64(l, transpose64(l, n, n), { rows: n, inner: n, cols: n }), a)).toBeLessThan(1e-11 * n * n);
    expect(gap(multiply64(l, lowerSolveIdentity(l, n), { rows: n, inner: n, cols: n }), identity(n))).toBeLessThan(
      1e-9,
    );
  });

  it('finds orthonormal eigenvectors that rebuild the matrix, largest first', () => {
    const b = draw(n * n);
    const a = b.map((x, i) => x + (b[(i % n) * n + Math.floor(i / n)] ?? 0));
    const { values, vectors } = symmetricEigen(a, n);
    expect(
      gap(multiply64(vectors, transpose64(vectors, n, n), { rows: n, inner: n, cols: n }), identity(n)),
    ).toBeLessThan(1e-12 * (n + 1));
    const scaled = vectors.map((x, i) => x * (values[Math.floor(i / n)] ?? NaN));
    expect(gap(multiply64(transpose64(vectors, n, n), scaled, { rows: n, inner: n, cols: n }), a)).toBeLessThan(
      1e-12 * (n + 1) * (n + 1),
    );
    for (let i = 1; i < n; i++) expect(values[i - 1]).toBeGreaterThanOrEqual(values[i] ?? NaN);
  });
});

it('solves matrices with equal, zero and clustered eigenvalues', () => {
  const n = 30;
  expect([...symmetricEigen(identity(n), n).values]).toEqual(Array(n).fill(1));
  expect([...symmetricEigen(new Float64Array(n * n), n).values]).toEqual(Array(n).fill(0));
  const v = draw(n);
  const square = v.reduce((sum, x) => sum + x * x, 0);
  const one = symmetricEigen(
    Float64Array.from({ length: n * n }, (_, i) => (v[Math.floor(i / n)] ?? 0) * (v[i % n] ?? 0)),
    n,
  );
  expect(one.values[0]).toBeCloseTo(square, 10);
  expect(Math.abs(one.values[1] ?? NaN)).toBeLessThan(1e-12);
});

it('names the pivot of a matrix that is not positive definite', () => {
  expect(() => cholesky(Float64Array.from([1, 2, 2, 1]), 2, 'Gram matrix')).toThrow(InputError);
  expect(() => cholesky(Float64Array.from([1, 2, 2, 1]), 2, 'Gram matrix')).toThrow(/Gram matrix .* pivot 1 is -3/);
  expect(() => cholesky(Float64Array.from([NaN]), 1)).toThrow(/pivot 0 is NaN/);
});

describe('with an engine', () => {
  it('truncates to the best rank, dense and by subspace iteration', async () => {
    const engine = await createEngine('onnxruntime', { threads: 1 });
    for (const m of [40, 200]) {
      // Known singular values: two orthonormal bases and a geometric spectrum.
      const size = 40;
      const u = await orthonormal(engine, matrix(m, size, normals(m * size, random)));
      const w = await orthonormal(engine, matrix(60, size, normals(60 * size, random)));
      const k = await engine.multiply(
        matrix(
          m,
          size,
          u.data.map((x, i) => x * 0.8 ** (i % size)),
        ),
        w,
        { transposeB: true },
      );
      const { left, right } = await rankStep(engine, k, { rank: 8, warm: null, random });
      const low = await engine.multiply(left, right);
      let lost = 0;
      for (let i = 0; i < k.data.length; i++) lost += ((k.data[i] ?? NaN) - (low.data[i] ?? NaN)) ** 2;
      let tail = 0;
      for (let i = 8; i < size; i++) tail += 0.8 ** (2 * i);
      expect(lost / tail).toBeCloseTo(1, 3);
    }
    await engine.dispose();
  });

  it('finds the leading subspace of a wide matrix, and survives one without full rank', async () => {
    const engine = await createEngine('onnxruntime', { threads: 1 });
    const a = await engine.multiply(matrix(50, 5, normals(250, random)), matrix(5, 400, normals(2000, random)));
    const basis = await leadingRightSubspace(engine, a, 10, random);
    const back = await engine.multiply(await engine.multiply(a, basis), basis, { transposeB: true });
    expect(gap(back.data, a.data)).toBeLessThan(1e-4);
    await engine.dispose();
  });
});

it('makes an orthonormal basis of columns of any scale, most of them dependent up to rounding', async () => {
  const engine = await createEngine('onnxruntime', { threads: 1 });
  try {
    const [rows, cols, rank] = [600, 400, 60];
    const left = matrix(rows, rank, normals(rows * rank, random));
    const right = matrix(rank, cols, normals(rank * cols, random));
    const a = await engine.multiply(left, right);
    // Columns of very different length; the first is much longer than the average.
    for (let i = 0; i < a.data.length; i++) a.data[i] = (a.data[i] ?? 0) * 10 ** (4 * (1 - (i % cols) / 40));
    const q = await orthonormal(engine, a);
    const back = await engine.multiply(q, await engine.multiply(q, left, { transposeA: true }));
    expect(gap(back.data, left.data)).toBeLessThan(2e-3);
  } finally {
    await engine.dispose();
  }
});
