import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import { beside, centered, channelColumns, columnMeans, columnRange, difference } from '../linalg/columns.js';
import { whitenedFeatures } from '../regression/features.js';
import { leastSquares } from '../regression/fit.js';
import { cholesky } from '../linalg/cholesky.js';
import { dot } from '../linalg/dense.js';
import type { LayerProblem } from '../problem.js';
import { topGroups } from './projections/top-groups.js';
import type { LowRankSpace } from '../low-rank/index.js';

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
/** Channels whose Gram matrices are summed up in one walk over the samples. */
const CHANNELS_AT_ONCE = 32;
/** Bound for the covariances of the residual with the inputs that are held at once. */
const CROSS_BYTES = 64 << 20;

/**
 * Which input channels the sparse part keeps: forward selection in batches (group orthogonal matching pursuit), the
 * low-rank part refitted jointly at every step. Ascending.
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
      const free = space.limited ? sparse.cols : columns.cols;
      const features = await whitenedFeatures(engine, columns, { free, prior, ridge: SELECTION_RIDGE });
      const fit = await leastSquares(engine, features, target, { rank, warm: null, random });
      features.held.dispose();
      residual = difference(target, fit.prediction);
    }
    const gains = await channelGains(engine, residual, { inputs, problem, factors: grams });
    for (const channel of kept) gains[channel] = -1;
    kept.push(...topGroups(gains, Math.min(batch, groups - kept.length)));
  }
  return kept.sort((a, b) => a - b);
}

/** Cholesky factors [taps, taps] of every channel's own Gram matrix. */
export function channelFactors(inputs: Matrix, problem: LayerProblem): Float64Array[] {
  const { channels, taps } = problem;
  const factors: Float64Array[] = [];
  for (let begin = 0; begin < channels; begin += CHANNELS_AT_ONCE) {
    const count = Math.min(CHANNELS_AT_ONCE, channels - begin);
    const grams = channelGrams(inputs, begin, count, taps);
    for (let c = 0; c < count; c++) {
      const gram = grams.subarray(c * taps * taps, (c + 1) * taps * taps);
      let trace = 0;
      for (let t = 0; t < taps; t++) trace += gram[t * taps + t];
      for (let t = 0; t < taps; t++) {
        gram[t * taps + t] = gram[t * taps + t] + (trace > 0 ? (SELECTION_RIDGE * trace) / taps : 1);
      }
      factors.push(cholesky(gram, taps, `Gram matrix of channel ${begin + c}`));
    }
  }
  return factors;
}

/**
 * Gram matrices [count, taps, taps] of the centred columns of channels `begin` and following. Several channels at once:
 * a walk down one channel would touch a cache line for every row and use little of it.
 */
function channelGrams(inputs: Matrix, begin: number, count: number, taps: number): Float64Array {
  const { data, rows, cols } = inputs;
  const grams = new Float64Array(count * taps * taps);
  const sums = new Float64Array(count * taps);
  for (let r = 0; r < rows; r++) {
    const row = r * cols + begin * taps;
    for (let c = 0; c < count; c++) {
      const from = row + c * taps;
      const to = c * taps * taps;
      for (let i = 0; i < taps; i++) {
        const x = data[from + i];
        if (x === 0) continue;
        sums[c * taps + i] = sums[c * taps + i] + x;
        for (let j = 0; j <= i; j++) {
          grams[to + i * taps + j] = grams[to + i * taps + j] + x * data[from + j];
        }
      }
    }
  }
  for (let c = 0; c < count; c++) {
    for (let i = 0; i < taps; i++) {
      for (let j = 0; j <= i; j++) {
        const at = c * taps * taps;
        const product = sums[c * taps + i] * sums[c * taps + j];
        const value = grams[at + i * taps + j] - product / rows;
        grams[at + i * taps + j] = value;
        grams[at + j * taps + i] = value;
      }
      // A constant column has no variance; rounding may leave it a negative one.
      const diagonal = c * taps * taps + i * (taps + 1);
      grams[diagonal] = Math.max(0, grams[diagonal]);
    }
  }
  return grams;
}

/**
 * Energy of the residual [N, m] that each channel alone would explain: || L⁻¹ X_gᵀ E ||² with L Lᵀ the channel's Gram
 * matrix. The residual has no mean, so that the inputs need not be centred.
 *
 * @param crossBytes bound for the covariances of the residual with the inputs that are held at once
 */
export async function channelGains(
  engine: Engine,
  residual: Matrix,
  { inputs, problem, factors }: { inputs: Matrix; problem: LayerProblem; factors: Float64Array[] },
  crossBytes = CROSS_BYTES,
): Promise<Float64Array> {
  const { channels, taps } = problem;
  const gains = new Float64Array(channels);
  const block = Math.max(1, Math.floor(crossBytes / (4 * residual.cols * taps)));
  for (let begin = 0; begin < channels; begin += block) {
    const end = Math.min(channels, begin + block);
    const columns = block >= channels ? inputs : columnRange(inputs, begin * taps, end * taps);
    const cross = await engine.multiply(residual, columns, { transposeA: true });
    explainedEnergy(cross, { factors, begin, end, taps }, gains);
  }
  return gains;
}

/**
 * gains[c] = || L_c⁻¹ cross_cᵀ ||² for the channels [begin, end), whose covariances with the residual are in `cross`.
 */
function explainedEnergy(
  cross: Matrix,
  { factors, begin, end, taps }: { factors: readonly Float64Array[]; begin: number; end: number; taps: number },
  gains: Float64Array,
): void {
  const solved = new Float64Array(taps);
  for (let c = begin; c < end; c++) {
    const l = factors[c];
    let gain = 0;
    for (let j = 0; j < cross.rows; j++) {
      const from = j * cross.cols + (c - begin) * taps;
      for (let t = 0; t < taps; t++) {
        const rest = cross.data[from + t] - dot(l, t * taps, solved, 0, t);
        const x = rest / l[t * taps + t];
        solved[t] = x;
        gain += x * x;
      }
    }
    gains[c] = gain;
  }
}
