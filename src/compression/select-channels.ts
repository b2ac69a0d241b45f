import { matrix, type Engine, type Matrix } from '../engines/index.js';
import { beside, centered, channelColumns, columnMeans } from './columns.js';
import { whitenedFeatures } from './features.js';
import { leastSquares } from './fit.js';
import { cholesky } from './linalg/cholesky.js';
import { dot } from './linalg/dense.js';
import type { LayerProblem } from './problem.js';
import { topGroups } from './prox/top-groups.js';
import type { LowRankSpace } from './low-rank-space.js';

export interface Selection {
  inputs: Matrix;
  target: Matrix;
  space: LowRankSpace;
  groups: number;
  rank: number;
  random: () => number;
}

/** The support grows in this many batches: after each, the joint fit shows what is left to explain. */
const BATCHES = 4;
const SELECTION_RIDGE = 1e-4;

/**
 * Which input channels the sparse part keeps: forward selection in batches (group orthogonal matching pursuit), the low-rank
 * part refitted jointly at every step. Ascending.
 */
export async function selectChannels(engine: Engine, problem: LayerProblem, selection: Selection): Promise<number[]> {
  const { inputs, target, space, groups, rank, random } = selection;
  if (groups === 0) return [];
  const kept: number[] = [];
  const batch = Math.ceil(groups / BATCHES);
  const grams = channelFactors(inputs, problem);
  while (kept.length < groups) {
    const sparse = channelColumns(inputs, kept, problem.taps);
    const columns = beside(sparse, space.columns);
    let residual = centered(target, columnMeans(target));
    if (columns.cols > 0) {
      const prior = beside(matrix(target.cols, sparse.cols), space.prior);
      const features = await whitenedFeatures(engine, columns, sparse.cols, prior, SELECTION_RIDGE);
      const fit = await leastSquares(engine, features, target, rank, null, random);
      features.held.dispose();
      residual = matrix(
        target.rows,
        target.cols,
        target.data.map((t, i) => t - (fit.prediction.data[i] as number)),
      );
    }
    const gains = await channelGains(engine, residual, inputs, problem, grams);
    for (const channel of kept) gains[channel] = -1;
    kept.push(...topGroups(gains, Math.min(batch, groups - kept.length)));
  }
  return kept.sort((a, b) => a - b);
}

/** Cholesky factors [taps, taps] of every channel's own Gram matrix. */
export function channelFactors(inputs: Matrix, problem: LayerProblem): Float64Array[] {
  const { channels, taps } = problem;
  const factors: Float64Array[] = [];
  for (let c = 0; c < channels; c++) {
    const block = channelColumns(inputs, [c], taps);
    const gram = ownGram(centered(block, columnMeans(block)));
    let trace = 0;
    for (let t = 0; t < taps; t++) trace += gram[t * taps + t] as number;
    for (let t = 0; t < taps; t++) {
      gram[t * taps + t] = (gram[t * taps + t] as number) + (trace > 0 ? (SELECTION_RIDGE * trace) / taps : 1);
    }
    factors.push(cholesky(gram, taps, `Gram matrix of channel ${c}`));
  }
  return factors;
}

function ownGram(a: Matrix): Float64Array {
  const gram = new Float64Array(a.cols * a.cols);
  for (let r = 0; r < a.rows; r++) {
    const row = r * a.cols;
    for (let i = 0; i < a.cols; i++) {
      const x = a.data[row + i] as number;
      if (x === 0) continue;
      for (let j = 0; j < a.cols; j++) {
        gram[i * a.cols + j] = (gram[i * a.cols + j] as number) + x * (a.data[row + j] as number);
      }
    }
  }
  return gram;
}

/**
 * Energy of the residual [N, m] that each channel alone would explain: || L⁻¹ X_gᵀ E ||² with L Lᵀ the channel's Gram matrix.
 * The residual has no mean, so that the inputs need not be centred.
 */
export async function channelGains(
  engine: Engine,
  residual: Matrix,
  inputs: Matrix,
  problem: LayerProblem,
  factors: Float64Array[],
): Promise<Float64Array> {
  const { taps } = problem;
  const m = residual.cols;
  const cross = await engine.multiply(residual, inputs, { a: true });
  const gains = new Float64Array(problem.channels);
  const solved = new Float64Array(taps);
  factors.forEach((l, c) => {
    let gain = 0;
    for (let j = 0; j < m; j++) {
      const from = j * inputs.cols + c * taps;
      for (let t = 0; t < taps; t++) {
        const rest = (cross.data[from + t] as number) - dot(l, t * taps, solved, 0, t);
        const x = rest / (l[t * taps + t] as number);
        solved[t] = x;
        gain += x * x;
      }
    }
    gains[c] = gain;
  });
  return gains;
}
