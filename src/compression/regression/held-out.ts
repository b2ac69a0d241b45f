import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import type { Activation } from '../../models/activation.js';
import { addToRows, columnRange } from '../linalg/columns.js';
import { addInto } from '../activations/elementwise.js';
import { symmetricEigen } from '../linalg/eigen.js';
import { activated, activatedLoss, relative } from './objective.js';
import type { LayerProblem } from '../problem.js';
import type { ResponseMetric } from './response-metric.js';
import { orthonormal, squaredNorm } from './rank-step.js';
import { leadingInSpan } from './response-span.js';

/**
 * Samples that the errors after the activation are measured on: relative spread of an error below 3 %. The fits do not
 * see them: on its own samples the sparse part, which has the most parameters, looks better than it is.
 */
const MEASURED_ROWS = 1024;
/** One in so many samples is held out, at least. */
const HELD_OUT_STRIDE = 5;
/** They are held out in so many stretches: samples that follow each other are patches of one image, and often of images that are alike. */
const STRETCHES = 8;

/** Held-out samples: the mean of the response, what is added to it, and the activated truth. */
export interface Measure {
  problem: LayerProblem;
  offset: Float64Array;
  /** What another branch adds. */
  skip: Matrix | undefined;
  y: Float32Array;
  energy: number;
  /** In which principal directions are taken. */
  metric: ResponseMetric | null;
  /** In which errors after the activation are measured. */
  after: ResponseMetric | null;
}

/** Rows to fit on, and rows held out; both are all of them when there are too few to share. */
export function split(a: Matrix): [Matrix, Matrix] {
  const stride = Math.max(HELD_OUT_STRIDE, Math.floor(a.rows / MEASURED_ROWS));
  if (a.rows < 4 * stride) return [a, a];
  const stretch = a.rows / (STRETCHES * stride);
  const isHeldOut = (row: number): boolean =>
    stretch < 1 ? row % stride === 0 : Math.floor(row / stretch) % stride === stride >> 1;
  const test: number[] = [];
  const train: number[] = [];
  for (let row = 0; row < a.rows; row++) (isHeldOut(row) ? test : train).push(row);
  return [pickRows(a, train), pickRows(a, test)];
}

export function pickRows(a: Matrix, rows: readonly number[]): Matrix {
  const out = matrix(rows.length, a.cols);
  rows.forEach((row, i) => out.data.set(a.data.subarray(row * a.cols, (row + 1) * a.cols), i * a.cols));
  return out;
}

/** Principal directions of a centred matrix: row i of both matrices belongs to values[i]. */
export interface Spectrum {
  values: number[];
  /** [v, m]: a row y has the score y directionᵀ. */
  directions: Matrix;
  /** [v, m]: what a score of 1 adds to a row. The same as `directions` where all outputs matter alike. */
  terms: Matrix;
}

export interface SpectrumOptions {
  limit: number;
  random: () => number;
  metric: ResponseMetric | null;
  /** Orthonormal basis that all rows of `given` lie in, where there is one of fewer columns. */
  span?: Matrix | null;
}

export async function spectrum(
  engine: Engine,
  given: Matrix,
  { limit, random, metric, span = null }: SpectrumOptions,
): Promise<Spectrum> {
  const residual = metric === null ? given : await engine.multiply(given, metric.turn);
  const all = span === null ? null : await turnedSpan(engine, span, metric);
  const basis = await leadingBasis(engine, residual, { limit, random, span: all });
  const columns = basis === null ? residual : await engine.multiply(residual, basis);
  const n = columns.cols;
  const { values, vectors } = symmetricEigen(await engine.gram(columns), n);
  const rotated = matrix(n, n, Float32Array.from(vectors));
  const principal = basis === null ? rotated : await engine.multiply(rotated, basis, { transposeB: true });
  return {
    values: Array.from(values, (value) => Math.max(0, value / residual.rows)),
    directions: metric === null ? principal : await engine.multiply(principal, metric.turn, { transposeB: true }),
    terms: metric === null ? principal : await engine.multiply(principal, metric.back),
  };
}

/** In the metric, rows lie in another span. */
const turnedSpan = async (engine: Engine, span: Matrix, metric: ResponseMetric | null): Promise<Matrix> =>
  metric === null ? span : orthonormal(engine, await engine.multiply(metric.turn, span, { transposeA: true }));

/** Null: all columns as they are. */
async function leadingBasis(
  engine: Engine,
  residual: Matrix,
  { limit, random, span }: { limit: number; random: () => number; span: Matrix | null },
): Promise<Matrix | null> {
  if ((span ?? residual).cols <= limit) return span;
  return leadingInSpan(engine, residual, { size: Math.min(limit, residual.rows - 1), random, span });
}

/** Errors of centred predictions [rows, m] on the held-out samples, projected on ever more of the directions. */
export async function rankCurve(
  engine: Engine,
  measure: Measure,
  {
    predicted,
    explained,
    spectrum: { directions, terms },
    ranks,
  }: { predicted: Matrix; explained: Matrix | null; spectrum: Pick<Spectrum, 'directions' | 'terms'>; ranks: number[] },
): Promise<{ ranks: number[]; errors: number[] }> {
  const scores = await engine.multiply(predicted, directions, { transposeB: true });
  return { ranks, errors: await partialErrors(engine, measure, { scores, terms, explained, counts: ranks }) };
}

/** || (Y - r(response)) C ||² for a metric C Cᵀ. */
export async function lossIn(
  engine: Engine,
  metric: ResponseMetric | null,
  { activation, y, response }: { activation: Activation; y: Float32Array; response: Matrix },
): Promise<number> {
  if (metric === null) return activatedLoss(activation, y, response.data);
  const rest = activated(activation, response.data);
  for (let i = 0; i < rest.length; i++) rest[i] = y[i] - rest[i];
  return squaredNorm((await engine.multiply(matrix(response.rows, response.cols, rest), metric.turn)).data);
}

/**
 * Error after the activation of (explained + leading columns of `scores` [rows, v] times as many rows of `terms` [v,
 * m]), for ascending numbers of columns.
 */
export async function partialErrors(
  engine: Engine,
  { problem, offset, skip, y, energy, after }: Measure,
  {
    scores,
    terms,
    explained,
    counts,
  }: { scores: Matrix; terms: Matrix; explained: Matrix | null; counts: readonly number[] },
): Promise<number[]> {
  const start = explained === null ? undefined : Float32Array.from(explained.data);
  const prediction = addToRows(matrix(scores.rows, terms.cols, start), offset);
  if (skip !== undefined) addInto(prediction.data, skip.data, prediction.data);
  const errors: number[] = [];
  let from = 0;
  for (const count of counts) {
    if (count > from) {
      const block = matrix(count - from, terms.cols, terms.data.subarray(from * terms.cols, count * terms.cols));
      const part = await engine.multiply(columnRange(scores, from, count), block);
      addInto(prediction.data, part.data, prediction.data);
      from = count;
    }
    errors.push(
      relative(await lossIn(engine, after, { activation: problem.activation, y, response: prediction }), energy),
    );
  }
  return errors;
}
