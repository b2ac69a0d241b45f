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

/** Samples that the errors after the activation are measured on: relative spread of an error below 3 %. */
const MEASURED_ROWS = 1024;
/** Directions of the response that are looked at; m is larger in wide fully connected layers only. */
const MAX_DIRECTIONS = 512;
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
  const inputs = matrix(samples, d, problem.inputs);
  const response = await engine.multiply(inputs, matrix(m, d, problem.weights), { b: true });
  const mean = columnMeans(response);
  const centeredResponse = centered(response, mean);
  const offset = mean.map((value, i) => value + (problem.bias[i] as number));
  const rows = measuredRows(samples);
  const skip = problem.skip === undefined ? undefined : pickRows(matrix(samples, m, problem.skip), rows);
  const truth = pickRows(addToRows(response, problem.bias), rows);
  if (skip !== undefined) addInto(truth.data, skip.data, truth.data);
  const y = applyActivation(problem.activation, truth.data);
  const measure: Measure = { problem, rows, offset, skip, y, energy: squaredNorm(y) };
  const random = seededRandom(options.seed);

  const lowRank = options.components.includes('low_rank');
  const full = await spectrum(engine, centeredResponse, random);
  const curves: RankCurve[] = [];
  if (lowRank) {
    const none = matrix(samples, m);
    curves.push({
      groups: 0,
      ...(await rankCurve(engine, measure, centeredResponse, none, full, rankGrid(m, d, 0, full.values.length))),
    });
  }
  if (options.components.includes('sparse')) {
    const factors = channelFactors(inputs, problem);
    const kept: number[] = [];
    let unexplained = { residual: centeredResponse, spectrum: full };
    for (const groups of groupGrid(problem.channels, lowRank)) {
      options.signal?.throwIfAborted();
      const rest = lowRank ? await withoutLeading(engine, unexplained, Math.ceil(m / 8)) : unexplained.residual;
      const gains = await channelGains(engine, rest, inputs, problem, factors);
      for (const channel of kept) gains[channel] = -1;
      kept.push(...topGroups(gains, groups - kept.length));
      const explained = await explainedBy(engine, inputs, kept, problem.taps, centeredResponse);
      const residual = difference(centeredResponse, explained);
      const values = lowRank ? await spectrum(engine, residual, random) : full;
      const taps = problem.taps;
      const grid = lowRank ? rankGrid(m, d, groups * taps, values.values.length) : [];
      curves.push({ groups, ...(await rankCurve(engine, measure, residual, explained, values, [0, ...grid])) });
      unexplained = { residual, spectrum: values };
    }
  }
  return {
    samples,
    energy: squaredNorm(centeredResponse.data) / samples,
    activatedEnergy: measure.energy / rows.length,
    eigenvalues: [...full.values],
    curves,
  };
}

interface Measure {
  problem: LayerProblem;
  rows: number[];
  offset: Float64Array;
  /** What another branch adds at `rows`. */
  skip: Matrix | undefined;
  y: Float32Array;
  energy: number;
}

/** Principal directions of a centred matrix: row i of `directions` [v, m] belongs to values[i]. */
interface Spectrum {
  values: number[];
  directions: Matrix;
}

async function spectrum(engine: Engine, residual: Matrix, random: () => number): Promise<Spectrum> {
  const wide = residual.cols > MAX_DIRECTIONS;
  const basis = wide
    ? await leadingRightSubspace(engine, residual, Math.min(MAX_DIRECTIONS, residual.rows - 1), random)
    : null;
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
  { problem, rows, offset, skip, y, energy }: Measure,
  residual: Matrix,
  explained: Matrix,
  { directions }: Spectrum,
  ranks: number[],
): Promise<{ ranks: number[]; errors: number[] }> {
  const scores = await engine.multiply(pickRows(residual, rows), directions, { b: true });
  const prediction = addToRows(pickRows(explained, rows), offset);
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

async function explainedBy(
  engine: Engine,
  inputs: Matrix,
  kept: readonly number[],
  taps: number,
  response: Matrix,
): Promise<Matrix> {
  const columns = channelColumns(inputs, kept, taps);
  const features = await whitenedFeatures(engine, columns, columns.cols, matrix(response.cols, columns.cols), RIDGE);
  const k = await engine.multiply(response, features.held, { a: true });
  for (let i = 0; i < k.data.length; i++) k.data[i] = (k.data[i] as number) / response.rows;
  const explained = await engine.multiply(features.held, k, { b: true });
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

function measuredRows(samples: number): number[] {
  const stride = Math.max(1, Math.floor(samples / MEASURED_ROWS));
  return Array.from({ length: Math.min(samples, MEASURED_ROWS) }, (_, i) => i * stride);
}

function pickRows(a: Matrix, rows: readonly number[]): Matrix {
  const out = matrix(rows.length, a.cols);
  rows.forEach((row, i) => out.data.set(a.data.subarray(row * a.cols, (row + 1) * a.cols), i * a.cols));
  return out;
}
