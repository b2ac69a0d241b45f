/**
 * The same objective in plain float64 arrays, written for clarity: reduced-rank ridge regression by normal equations
 * and Jacobi rotations, and the ADMM around it with a fixed penalty. Shares no code with the solver.
 */

export type Rows = number[][];

const cell = (a: Rows, i: number, j: number): number => a[i]?.[j] ?? NaN;
const zeros = (rows: number, cols: number): Rows => Array.from({ length: rows }, () => Array<number>(cols).fill(0));
export const transpose = (a: Rows): Rows => (a[0] ?? []).map((_, j) => a.map((row) => row[j] ?? NaN));

export function times(a: Rows, b: Rows): Rows {
  const bt = transpose(b);
  return a.map((row) => bt.map((col) => row.reduce((sum, x, k) => sum + x * (col[k] ?? NaN), 0)));
}

/** X with a X = b, by Gaussian elimination with pivoting. */
export function solve(a: Rows, b: Rows): Rows {
  const n = a.length;
  const work = a.map((row, i) => [...row, ...(b[i] ?? [])]);
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(cell(work, i, k)) > Math.abs(cell(work, pivot, k))) pivot = i;
    [work[k], work[pivot]] = [work[pivot] ?? [], work[k] ?? []];
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = cell(work, i, k) / cell(work, k, k);
      work[i] = (work[i] ?? []).map((x, j) => x - factor * cell(work, k, j));
    }
  }
  return work.map((row, i) => row.slice(n).map((x) => x / (row[i] ?? NaN)));
}

/** Eigenvectors of the `count` largest eigenvalues of a symmetric matrix, as columns: cyclic Jacobi. */
export function leading(a: Rows, count: number): Rows {
  const n = a.length;
  const s = a.map((row) => [...row]);
  const v = zeros(n, n).map((row, i) => row.map((_, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (Math.abs(cell(s, p, q)) < 1e-300) continue;
        const angle = 0.5 * Math.atan2(2 * cell(s, p, q), cell(s, q, q) - cell(s, p, p));
        const [c, t] = [Math.cos(angle), Math.sin(angle)];
        for (const m of [s, v]) {
          for (const row of m) {
            const [x, y] = [row[p] ?? NaN, row[q] ?? NaN];
            row[p] = c * x - t * y;
            row[q] = t * x + c * y;
          }
        }
        for (let j = 0; j < n; j++) {
          const [x, y] = [cell(s, p, j), cell(s, q, j)];
          (s[p] ?? [])[j] = c * x - t * y;
          (s[q] ?? [])[j] = t * x + c * y;
        }
      }
    }
  }
  const order = s.map((_, i) => i).sort((i, j) => cell(s, j, j) - cell(s, i, i));
  return v.map((row) => order.slice(0, count).map((j) => row[j] ?? NaN));
}

const means = (a: Rows): number[] => transpose(a).map((col) => col.reduce((x, y) => x + y, 0) / col.length);
const shift = (a: Rows, by: number[], sign: number): Rows =>
  a.map((row) => row.map((x, j) => x + sign * (by[j] ?? NaN)));

/** Prediction of `target` from `columns`: coefficients of rank `rank`, pulled towards `prior` by a relative ridge. */
export function reducedRankFit(columns: Rows, target: Rows, prior: Rows, rank: number, ridge: number): Rows {
  const n = columns.length;
  const e = shift(columns, means(columns), -1);
  const mean = means(target);
  const gram = times(transpose(e), e).map((row) => row.map((x) => x / n));
  const penalty = gram.map((row, i) => ridge * (row[i] ?? NaN));
  const metric = gram.map((row, i) => row.map((x, j) => (i === j ? x + (penalty[i] ?? NaN) : x)));
  const cross = times(transpose(shift(target, mean, -1)), e).map((row, i) =>
    row.map((x, j) => x / n + cell(prior, i, j) * (penalty[j] ?? NaN)),
  );
  const full = transpose(solve(metric, transpose(cross)));
  const v = leading(times(full, transpose(cross)), rank);
  const coefficients = times(v, times(transpose(v), full));
  return shift(times(e, transpose(coefficients)), mean, 1);
}

/** Predictions after the linear fit and after every ADMM iteration, for a ReLU. */
export function referenceAdmm(
  columns: Rows,
  target: Rows,
  prior: Rows,
  rank: number,
  ridge: number,
  rho: number,
  iterations: number,
): Rows[] {
  const y = target.map((row) => row.map((x) => Math.max(0, x)));
  let f = reducedRankFit(columns, target, prior, rank, ridge);
  let u = f.map((row) => row.map(() => 0));
  const all = [f];
  for (let k = 0; k < iterations; k++) {
    const z = f.map((row, i) =>
      row.map((fij, j) => {
        const v = fij - cell(u, i, j);
        const yij = cell(y, i, j);
        const cost = (x: number): number => (yij - Math.max(0, x)) ** 2 + rho * (x - v) ** 2;
        const [plus, minus] = [Math.max(0, (yij + rho * v) / (1 + rho)), Math.min(0, v)];
        return cost(plus) <= cost(minus) ? plus : minus;
      }),
    );
    const t = z.map((row, i) => row.map((x, j) => x + cell(u, i, j)));
    f = reducedRankFit(columns, t, prior, rank, ridge);
    u = t.map((row, i) => row.map((x, j) => x - cell(f, i, j)));
    all.push(f);
  }
  return all;
}

export const reluLoss = (target: Rows, f: Rows): number =>
  target.reduce(
    (s, row, i) => s + row.reduce((r, x, j) => r + (Math.max(0, x) - Math.max(0, cell(f, i, j))) ** 2, 0),
    0,
  );
