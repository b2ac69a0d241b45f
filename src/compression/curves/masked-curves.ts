import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import { PATTERN, sparseNonzeros, type MaskedPattern } from '../../models/sparse/index.js';
import { centered, difference } from '../linalg/columns.js';
import { partOf, regressed } from '../sparse/masked-part.js';
import { maskedInputs } from '../regression/masked-step.js';
import { topGroups } from '../sparse/projections/top-groups.js';
import { rowSupport } from '../sparse/filter.js';
import { selectSupport } from '../sparse/index.js';
import type { LayerSizes } from '../sparse/support.js';

const RIDGE = 1e-3;
/** Shares of the weights that are looked at: beside a low-rank part, and alone. */
const BESIDE = [1 / 32, 1 / 16, 1 / 8];
const ALONE = [1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4];

export interface MaskedCurveData {
  train: Matrix;
  test: Matrix;
  /** W0 [m, d] */
  weights: Matrix;
  /** Centred responses of both. */
  own: { train: Matrix; test: Matrix };
  /** Leading directions [k, m] of the response that a low-rank part would take, or null. */
  leading: Matrix | null;
}

export interface MaskedExplanation {
  groups: number;
  /** Nonzero weights of one output, on average. */
  columns: number;
  train: Matrix;
  test: Matrix;
}

/**
 * What a sparse part of ever more groups explains of the centred response, on the samples of the fit and on the
 * held-out ones.
 */
export async function* maskedExplanations(
  engine: Engine,
  pattern: MaskedPattern,
  channels: number,
  { train, test, weights, own, leading }: MaskedCurveData,
): AsyncGenerator<MaskedExplanation> {
  const { rows: m, cols: d } = weights;
  const sizes = { m, d, channels };
  const inputs = await maskedInputs(engine, train);
  try {
    const left = leading === null ? own.train : await without(engine, own.train, leading);
    const rest = leading === null ? weights : await withoutRows(engine, weights, leading);
    for (const groups of groupCounts(pattern, sizes, leading !== null)) {
      const columns = sparseNonzeros(sizes, { pattern, groups, alone: false }) / m;
      if (PATTERN[pattern].stores === 'rows') {
        const { kept } = rowSupport(topGroups(energies(left), groups), sizes);
        yield { groups, columns, train: onlyColumns(own.train, kept), test: onlyColumns(own.test, kept) };
        continue;
      }
      const support = selectSupport(pattern, groups, { rest, variances: inputs.variances, channels });
      const w = await regressed(engine, partOf({ inputs, pattern, ridge: RIDGE }, support, rest), left);
      yield {
        groups,
        columns,
        train: await engine.multiply(inputs.held, w, { transposeB: true }),
        test: await engine.multiply(centered(test, inputs.mean), w, { transposeB: true }),
      };
    }
  } finally {
    inputs.dispose();
  }
}

/** Numbers of groups that a pattern can have. */
function groupCounts(pattern: MaskedPattern, sizes: LayerSizes, beside: boolean): number[] {
  const total = PATTERN[pattern].total(sizes);
  const step = PATTERN[pattern].step(sizes);
  if (step === null) return [total];
  const counts = (beside ? BESIDE : ALONE).map((share) => step * Math.max(1, Math.round((share * total) / step)));
  return [...new Set(counts)].filter((count) => count < total);
}

const energies = (a: Matrix): Float64Array => {
  const sums = new Float64Array(a.cols);
  a.data.forEach((x, i) => (sums[i % a.cols] = sums[i % a.cols] + x * x));
  return sums;
};

function onlyColumns(a: Matrix, kept: readonly number[]): Matrix {
  const out = matrix(a.rows, a.cols);
  for (let r = 0; r < a.rows; r++) for (const c of kept) out.data[r * a.cols + c] = a.data[r * a.cols + c];
  return out;
}

/** a (I - Vᵀ V) for rows that are responses. */
async function without(engine: Engine, a: Matrix, leading: Matrix): Promise<Matrix> {
  const scores = await engine.multiply(a, leading, { transposeB: true });
  return difference(a, await engine.multiply(scores, leading));
}

/** (I - Vᵀ V) W */
async function withoutRows(engine: Engine, weights: Matrix, leading: Matrix): Promise<Matrix> {
  const part = await engine.multiply(leading, weights);
  return difference(weights, await engine.multiply(leading, part, { transposeA: true }));
}
