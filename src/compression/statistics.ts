import { matrix, type Engine, type Matrix } from '../engines/index.js';
import { applyActivation } from './activation-function.js';
import { addToRows, centered, channelColumns, columnMeans, columnRange, difference } from './columns.js';
import { addInto } from './elementwise.js';
import { whitenedFeatures } from './features.js';
import { symmetricEigen } from './linalg/eigen.js';
import { activatedLoss, relative } from './objective.js';
import { checkProblem, type LayerProblem } from './problem.js';
import { topGroups } from './prox/top-groups.js';
import { seededRandom } from './random.js';
import { leadingRightSubspace, squaredNorm } from './rank-step.js';
import { channelFactors, channelGains } from './select-channels.js';

export type Component = 'low_rank' | 'sparse';

/** Errors of the linear fit against the rank, for one number of kept channels. */
export interface RankCurve {
  groups: number;
  ranks: number[];
  /** || Y - r(fit) ||² / || Y ||² after the activation, one for each rank. */
  errors: number[];
}

/** What the plan needs to know of a layer. Plain JSON. */
export interface LayerStatistics {
  samples: number;
  /** Energy of the centred response per sample, and of the activated response per sample. */
  energy: number;
  activatedEnergy: number;
  /** Of the response covariance, descending. */
  eigenvalues: number[];
  curves: RankCurve[];
}

export interface StatisticsOptions {
  components: readonly Component[];
  seed: number;
  signal?: AbortSignal;
}

/**
 * Samples that the errors after the activation are measured on: relative spread of an error below 3 %. The fits do not see
 * them: on its own samples the sparse part, which has the most parameters, looks better than it is.
 */
const MEASURED_ROWS = 1024;
/** Every this many samples one is held out, at most. */
const HELD_OUT_STRIDE = 5;
/** Directions of the response that are looked at; m is larger in wide fully connected layers only. */
const MAX_DIRECTIONS = 512;
/** Beside kept channels a high rank would not pay; the eigen-solve of 512 directions takes most of a curve's time. */
const MAX_DIRECTIONS_BESIDE = 160;
const MAX_RANKS = 64;
const RIDGE = 1e-4;

/** Ranks and groups come in multiples of this. */
export function roundingStep(size: number): number {
  return size >= 64 ? 8 : size >= 32 ? 4 : size >= 16 ? 2 : 1;
}

export async function layerStatistics(
  engine: Engine,
  problem: LayerProblem,
  options: StatisticsOptions,
): Promise<LayerStatistics> {
  const { m, d, samples } = checkProblem(problem);
  const [train, test] = split(matrix(samples, d, problem.inputs));
  const weights = matrix(m, d, problem.weights);
  const response = await engine.multiply(train, weights, { b: true });
  const mean = columnMeans(response);
  const seen = await engine.multiply(test, weights, { b: true });
  const skip = problem.skip === undefined ? undefined : split(matrix(samples, m, problem.skip))[1];
  const offset = mean.map((value, i) => value + (problem.bias[i] as number));
  const own = { train: centered(response, mean), test: centered(seen, mean) };
  const truth = addToRows(seen, problem.bias);
  if (skip !== undefined) addInto(truth.data, skip.data, truth.data);
  const y = applyActivation(problem.activation, truth.data);
  const measure: Measure = { problem, offset, skip, y, energy: squaredNorm(y) };
  const random = seededRandom(options.seed);

  const lowRank = options.components.includes('low_rank');
  const full = await spectrum(engine, own.train, MAX_DIRECTIONS, random);
  const curves: RankCurve[] = [];
  if (lowRank) {
    const grid = rankGrid(m, d, 0, full.values.length);
    curves.push({ groups: 0, ...(await rankCurve(engine, measure, own.test, null, full, grid)) });
  }
  if (options.components.includes('sparse')) {
    const factors = channelFactors(train, problem);
    const kept: number[] = [];
    let rest = { residual: own.train, spectrum: full };
    for (const groups of groupGrid(problem.channels, lowRank)) {
      options.signal?.throwIfAborted();
      const residual = lowRank ? await withoutLeading(engine, rest, Math.ceil(m / 8)) : rest.residual;
      const gains = await channelGains(engine, residual, train, problem, factors);
      for (const channel of kept) gains[channel] = -1;
      kept.push(...topGroups(gains, groups - kept.length));
      const explained = await explainedBy(engine, { train, test }, kept, problem.taps, own.train);
      const left = difference(own.train, explained.train);
      const values = lowRank ? await spectrum(engine, left, MAX_DIRECTIONS_BESIDE, random) : full;
      const grid = lowRank ? rankGrid(m, d, groups * problem.taps, values.values.length) : [];
      const unseen = difference(own.test, explained.test);
      curves.push({ groups, ...(await rankCurve(engine, measure, unseen, explained.test, values, [0, ...grid])) });
      rest = { residual: left, spectrum: values };
    }
  }
  return {
    samples,
    energy: squaredNorm(own.train.data) / train.rows,
    activatedEnergy: measure.energy / test.rows,
    eigenvalues: [...full.values],
    curves,
  };
}

/** Held-out samples: the mean of the response, what is added to it, and the activated truth. */
interface Measure {
  problem: LayerProblem;
  offset: Float64Array;
  /** What another branch adds. */
  skip: Matrix | undefined;
  y: Float32Array;
  energy: number;
}

/** Principal directions of a centred matrix: row i of `directions` [v, m] belongs to values[i]. */
interface Spectrum {
  values: number[];
  directions: Matrix;
}

async function spectrum(engine: Engine, residual: Matrix, limit: number, random: () => number): Promise<Spectrum> {
  const wide = residual.cols > limit;
  const basis = wide ? await leadingRightSubspace(engine, residual, Math.min(limit, residual.rows - 1), random) : null;
  const columns = basis === null ? residual : await engine.multiply(residual, basis);
  const n = columns.cols;
  const { values, vectors } = symmetricEigen(await engine.gram(columns), n);
  const rotated = matrix(n, n, Float32Array.from(vectors));
  return {
    values: Array.from(values, (value) => Math.max(0, value / residual.rows)),
    directions: basis === null ? rotated : await engine.multiply(rotated, basis, { b: true }),
  };
}

async function rankCurve(
  engine: Engine,
  { problem, offset, skip, y, energy }: Measure,
  residual: Matrix,
  explained: Matrix | null,
  { directions }: Spectrum,
  ranks: number[],
): Promise<{ ranks: number[]; errors: number[] }> {
  const scores = await engine.multiply(residual, directions, { b: true });
  const start = explained === null ? undefined : Float32Array.from(explained.data);
  const prediction = addToRows(matrix(residual.rows, residual.cols, start), offset);
  if (skip !== undefined) addInto(prediction.data, skip.data, prediction.data);
  const errors: number[] = [];
  let from = 0;
  for (const rank of ranks) {
    if (rank > from) {
      const block = matrix(
        rank - from,
        directions.cols,
        directions.data.subarray(from * directions.cols, rank * directions.cols),
      );
      const part = await engine.multiply(columnRange(scores, from, rank), block);
      for (let i = 0; i < part.data.length; i++)
        prediction.data[i] = (prediction.data[i] as number) + (part.data[i] as number);
      from = rank;
    }
    errors.push(relative(activatedLoss(problem.activation, y, prediction.data), energy));
  }
  return { ranks, errors };
}

/** Ranks for which rank (m + d) + s m stays below the dense m d, with s columns of the sparse part. */
function rankGrid(m: number, d: number, sparseColumns: number, directions: number): number[] {
  const step = roundingStep(m);
  const limit = Math.min(directions, m - 1, Math.ceil((m * (d - sparseColumns)) / (m + d)) - 1);
  const stride = step * Math.max(1, Math.ceil(limit / step / MAX_RANKS));
  const ranks: number[] = [];
  for (let rank = stride; rank <= limit; rank += stride) ranks.push(rank);
  return ranks;
}

/** Beside a low-rank part few channels can pay; alone, the sparse part needs the whole range. */
function groupGrid(channels: number, lowRank: boolean): number[] {
  const step = roundingStep(channels);
  if (lowRank) return [1, 2, 4].map((factor) => factor * step).filter((groups) => groups <= channels / 4);
  const stride = step * Math.max(1, Math.ceil(channels / step / 16));
  return Array.from({ length: Math.ceil(channels / stride) - 1 }, (_, i) => (i + 1) * stride);
}

/** What the kept channels explain of `response` [train.rows, m], on the samples of the fit and on the held-out ones. */
async function explainedBy(
  engine: Engine,
  { train, test }: { train: Matrix; test: Matrix },
  kept: readonly number[],
  taps: number,
  response: Matrix,
): Promise<{ train: Matrix; test: Matrix }> {
  const columns = channelColumns(train, kept, taps);
  const features = await whitenedFeatures(engine, columns, columns.cols, matrix(response.cols, columns.cols), RIDGE);
  const k = await engine.multiply(response, features.held, { a: true });
  for (let i = 0; i < k.data.length; i++) k.data[i] = (k.data[i] as number) / response.rows;
  const whiten = matrix(columns.cols, columns.cols, Float32Array.from(features.whiten));
  const unseen = await engine.multiply(centered(channelColumns(test, kept, taps), features.mean), whiten, { b: true });
  const explained = {
    train: await engine.multiply(features.held, k, { b: true }),
    test: await engine.multiply(unseen, k, { b: true }),
  };
  features.held.dispose();
  return explained;
}

async function withoutLeading(
  engine: Engine,
  { residual, spectrum: { directions } }: { residual: Matrix; spectrum: Spectrum },
  rank: number,
): Promise<Matrix> {
  const used = Math.min(rank, directions.rows);
  const leading = matrix(used, directions.cols, directions.data.subarray(0, used * directions.cols));
  const scores = await engine.multiply(residual, leading, { b: true });
  return difference(residual, await engine.multiply(scores, leading));
}

/** Rows to fit on, and rows held out; both are all of them when there are too few to share. */
function split(a: Matrix): [Matrix, Matrix] {
  const stride = Math.max(HELD_OUT_STRIDE, Math.floor(a.rows / MEASURED_ROWS));
  if (a.rows < 4 * stride) return [a, a];
  const test: number[] = [];
  const train: number[] = [];
  for (let row = 0; row < a.rows; row++) (row % stride === 0 ? test : train).push(row);
  return [pickRows(a, train), pickRows(a, test)];
}

function pickRows(a: Matrix, rows: readonly number[]): Matrix {
  const out = matrix(rows.length, a.cols);
  rows.forEach((row, i) => out.data.set(a.data.subarray(row * a.cols, (row + 1) * a.cols), i * a.cols));
  return out;
}
