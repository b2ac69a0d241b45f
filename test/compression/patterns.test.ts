import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refitLayer, solveLayer, type SolveOptions } from '../../src/compression/index.js';
import { maskedInputs, maskedRegression } from '../../src/compression/regression/masked-step.js';
import { balancedBlocks } from '../../src/compression/sparse/projections/balanced-blocks.js';
import { nOfM } from '../../src/compression/sparse/projections/n-of-m.js';
import { topEntries } from '../../src/compression/sparse/projections/top-entries.js';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';
import { createEngine, matrix, type Engine } from '../../src/engines/index.js';
import { blocksOf, SPARSE_PATTERNS, type SparsePattern } from '../../src/models/index.js';
import { plantedLayer, randomLayer } from './problems.js';

const OPTIONS: SolveOptions = { reconstruction: 'after_activation', maxIterations: 40, seed: 1, ridge: 1e-6 };

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('onnxruntime', { threads: 1 });
});
afterAll(() => engine.dispose());

/** All subsets of `count` of 0 to n - 1. */
function subsets(n: number, count: number): number[][] {
  if (count === 0) return [[]];
  return Array.from({ length: n }, (_, last) => subsets(last, count - 1).map((s) => [...s, last])).flat();
}
const sumAt = (scores: ArrayLike<number>, at: readonly number[]) => at.reduce((sum, i) => sum + (scores[i] ?? NaN), 0);
const best = (scores: ArrayLike<number>, count: number) =>
  Math.max(...subsets(scores.length, count).map((s) => sumAt(scores, s)));
const ones = (mask: Uint8Array) => [...mask.keys()].filter((i) => mask[i] === 1);

describe('projections keep as much as the best of all supports', () => {
  const random = seededRandom(9);
  // Ties are frequent.
  const scores = Float32Array.from({ length: 10 }, () => Math.floor(random() * 5));

  it('single entries', () => {
    for (let count = 0; count <= 10; count++) {
      const kept = ones(topEntries(scores, count));
      expect(kept).toHaveLength(count);
      expect(sumAt(scores, kept)).toBe(best(scores, count));
    }
  });

  it('two of every four, and of a last group of any size', () => {
    for (const cols of [4, 5, 6, 7, 10]) {
      const row = scores.subarray(0, cols);
      const kept = ones(nOfM(Float32Array.from([...row, ...row]), cols));
      for (let begin = 0; begin < cols; begin += 4) {
        const group = row.subarray(begin, begin + 4);
        const count = Math.min(2, group.length);
        for (const offset of [0, cols]) {
          const own = kept.filter((i) => i >= offset + begin && i < offset + Math.min(cols, begin + 4));
          expect(own).toHaveLength(count);
          expect(sumAt([...row, ...row], own)).toBe(best(group, count));
        }
      }
    }
  });

  it('as many blocks in every row of blocks', () => {
    const energies = Float64Array.from(scores);
    const kept = balancedBlocks(energies, 2, 2);
    expect(kept.map((i) => Math.floor(i / 5))).toEqual([0, 0, 1, 1]);
    expect(sumAt(energies, kept)).toBe(best(energies.subarray(0, 5), 2) + best(energies.subarray(5), 2));
  });
});

/** Solves a x = b in double precision by elimination with pivots. */
function eliminate(a: number[][], b: number[]): number[] {
  const rows = a.map((row, i) => [...row, b[i] ?? NaN]);
  const n = rows.length;
  const at = (i: number, j: number) => rows[i]?.[j] ?? NaN;
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k; i < n; i++) if (Math.abs(at(i, k)) > Math.abs(at(pivot, k))) pivot = i;
    const swap = rows[k] ?? [];
    rows[k] = rows[pivot] ?? [];
    rows[pivot] = swap;
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = at(i, k) / at(k, k);
      rows[i] = (rows[i] ?? []).map((x, j) => x - factor * at(k, j));
    }
  }
  return rows.map((row, i) => (row[n] ?? NaN) / (row[i] ?? NaN));
}

it.each([
  ['more samples than inputs', 200],
  ['more inputs than samples', 14],
])('the masked regression is that of a float64 reference: %s', async (_, samples) => {
  const [m, d, ridge] = [5, 20, 1e-2];
  const random = seededRandom(4);
  const x = matrix(samples, d, normals(samples * d, random));
  const target = matrix(samples, m, normals(samples * m, random));
  const mask = Uint8Array.from({ length: m * d }, () => (random() < 0.4 ? 1 : 0));
  const prior = matrix(
    m,
    d,
    normals(m * d, random).map((w, i) => w * (mask[i] ?? NaN)),
  );
  const inputs = await maskedInputs(engine, x);
  const warm = matrix(m, d);
  const w = await maskedRegression(engine, { inputs, mask, rows: [], prior, ridge, warm }, target, 60);
  inputs.dispose();
  const means = Array.from({ length: d }, (_x, c) => {
    let sum = 0;
    for (let n = 0; n < samples; n++) sum += x.data[n * d + c] ?? NaN;
    return sum / samples;
  });
  const gram = (a: number, b: number) => {
    let sum = 0;
    for (let n = 0; n < samples; n++)
      sum += ((x.data[n * d + a] ?? NaN) - (means[a] ?? NaN)) * ((x.data[n * d + b] ?? NaN) - (means[b] ?? NaN));
    return sum / samples;
  };
  for (let row = 0; row < m; row++) {
    const support = Array.from({ length: d }, (_x, c) => c).filter((c) => mask[row * d + c] === 1);
    const a = support.map((i) => support.map((j) => gram(i, j) * (i === j ? 1 + ridge : 1)));
    const b = support.map((i) => {
      let sum = 0;
      for (let n = 0; n < samples; n++)
        sum += ((x.data[n * d + i] ?? NaN) - (means[i] ?? NaN)) * (target.data[n * m + row] ?? NaN);
      return sum / samples + ridge * gram(i, i) * (prior.data[row * d + i] ?? NaN);
    });
    const expected = eliminate(a, b);
    support.forEach((c, i) => expect(w.data[row * d + c]).toBeCloseTo(expected[i] ?? NaN, 3));
    for (let c = 0; c < d; c++) if (mask[row * d + c] === 0) expect(w.data[row * d + c]).toBe(0);
  }
});

const [m, channels, taps, d] = [32, 16, 4, 64];

/** A support of every pattern, and its size. */
function plantedMask(pattern: SparsePattern): { mask: Uint8Array; groups: number } {
  const mask = new Uint8Array(m * d);
  const fill = (inside: (row: number, column: number) => boolean) =>
    mask.forEach((_, i) => (mask[i] = inside(Math.floor(i / d), i % d) ? 1 : 0));
  const block = blocksOf({ m, channels });
  switch (pattern) {
    case 'channel':
      fill((_, c) => [2, 7, 11].includes(Math.floor(c / taps)));
      return { mask, groups: 3 };
    case 'filter':
      fill((row) => [1, 9, 30].includes(row));
      return { mask, groups: 3 };
    case 'column':
      fill((_, c) => [3, 17, 40, 41, 63].includes(c));
      return { mask, groups: 5 };
    case 'block':
      fill((row, c) => Math.floor(c / taps / block.inputs) === Math.floor(row / block.outputs) % block.columns);
      return { mask, groups: block.rows };
    case 'n:m':
      fill((row, c) => c % 4 === row % 4 || c % 4 === (row + 1 + (c % 3)) % 4);
      for (let i = 0; i < mask.length; i += 4)
        for (let j = 0; mask.subarray(i, i + 4).reduce((a, b) => a + b, 0) > 2; j++) mask[i + j] = 0;
      return { mask, groups: (m * d) / 4 };
    case 'unstructured': {
      const random = seededRandom(6);
      fill(() => random() < 0.05);
      return { mask, groups: mask.reduce((a, b) => a + b, 0) };
    }
  }
}

function supportOfFactors(pattern: SparsePattern, kept: number[], weights: Float32Array): Uint8Array {
  const mask = new Uint8Array(m * d);
  mask.forEach((_, i) => {
    const [row, column] = [Math.floor(i / d), i % d];
    const inside =
      pattern === 'channel'
        ? kept.includes(Math.floor(column / taps))
        : pattern === 'filter'
          ? kept.includes(row)
          : pattern === 'column'
            ? kept.includes(column)
            : weights[i] !== 0;
    mask[i] = inside ? 1 : 0;
  });
  return mask;
}

describe.each(SPARSE_PATTERNS)('%s', (pattern) => {
  it('a planted support is found again, and the layer is exact', async () => {
    const problem = randomLayer({ m, channels, taps, samples: 600, seed: 51 });
    const { mask, groups } = plantedMask(pattern);
    // No planted weight is near zero.
    const weights = problem.weights.map((w, i) => (w + 0.1 * Math.sign(w)) * (mask[i] ?? NaN));
    const planted = { ...problem, weights };
    const size = { rank: 0, groups, pattern };
    const { factors, diagnostics } = await solveLayer(engine, planted, size, OPTIONS);
    const { sparse } = factors;
    expect(sparse?.pattern).toBe(pattern);
    const found = sparse === null ? mask : supportOfFactors(pattern, sparse.kept, sparse.weights);
    const outside = found.filter((f, i) => f === 1 && mask[i] === 0).length;
    const missed = found.filter((f, i) => f === 0 && mask[i] === 1).length;
    expect([missed, pattern === 'n:m' ? 0 : outside]).toEqual([0, 0]);
    expect(diagnostics.relativeError).toBeLessThan(1e-5);
    const again = await refitLayer(engine, planted, factors, OPTIONS);
    expect(again.diagnostics.relativeError).toBeLessThan(1e-5);
    expect(again.factors.sparse?.kept).toEqual(sparse?.kept);
  });

  it('never ends above the linear fit beside a low-rank part, and what it adds lowers the error', async () => {
    const problem = plantedLayer({ m, channels, taps, samples: 800, seed: 52 }, 4, [3, 8]);
    const { groups } = plantedMask(pattern);
    const alone = await solveLayer(engine, problem, { rank: 4, groups: 0 }, OPTIONS);
    const { factors, diagnostics } = await solveLayer(engine, problem, { rank: 4, groups, pattern }, OPTIONS);
    expect(diagnostics.relativeError).toBeLessThanOrEqual(diagnostics.relativeErrorLinear * (1 + 1e-6));
    expect(diagnostics.relativeError).toBeLessThan(alone.diagnostics.relativeError);
    expect(factors.lowRank?.rank).toBe(4);
    if (pattern === 'filter') {
      const { p, q, rank } = factors.lowRank ?? { p: new Float32Array(), q: new Float32Array(), rank: 0 };
      expect(q.length).toBe(rank * d);
      for (const row of factors.sparse?.kept ?? [])
        expect(Math.max(...p.subarray(row * rank, (row + 1) * rank).map(Math.abs))).toBeLessThan(1e-6);
    }
  });
});
