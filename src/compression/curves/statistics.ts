import { matrix, rowsOf, type Engine, type Matrix } from '../../engines/index.js';
import { activated } from '../regression/objective.js';
import { addToRows, centered, channelColumns, columnMeans, difference } from '../linalg/columns.js';
import { addInto } from '../activations/elementwise.js';
import { withAddedSamples } from '../regression/few-samples.js';
import { whitenedFeatures } from '../regression/features.js';
import { LOW_RANK_SHAPES, lowRankShapes, PLAIN_SHAPE, type LowRankShape } from '../../models/low-rank/index.js';
import { isMasked, PATTERN, PLAIN_PATTERN, type MaskedPattern, type SparsePattern } from '../../models/sparse/index.js';
import { maskedExplanations } from './masked-curves.js';
import { rankCurve, spectrum, split, type Measure, type Spectrum } from '../regression/held-out.js';
import { checkProblem, type LayerProblem } from '../problem.js';
import { responseMetric } from '../regression/response-metric.js';
import { responseSpan } from '../regression/response-span.js';
import { SHAPE_FITS } from '../low-rank/index.js';
import { roundingStep } from '../low-rank/rank-grid.js';
import type { RankCurve } from './rank-curve.js';
import { topGroups } from '../sparse/projections/top-groups.js';
import { seededRandom } from '../linalg/random.js';
import { squaredNorm } from '../regression/rank-step.js';
import { tapStatistics, type NarrowFits, type TapFits } from './tap-statistics.js';
import { widthStatistics } from './width-statistics.js';
import { channelFactors, channelGains } from '../sparse/select-channels.js';

export type Component = 'low_rank' | 'sparse';

/** What the plan needs to know of a layer. Plain JSON. */
export interface LayerStatistics {
  samples: number;
  /** Energy of the centred response per sample, and of the activated response per sample. */
  energy: number;
  activatedEnergy: number;
  /** Of the response covariance in the metric of the layer, descending. */
  eigenvalues: number[];
  curves: RankCurve[];
}

/** The statistics, and the fits of narrow first convolutions that the network can be asked about. */
export interface MeasuredLayer {
  statistics: LayerStatistics;
  fits: TapFits[];
  /** Of some of the input channels alone, where that was asked for. */
  channelFits: NarrowFits | null;
}

export interface StatisticsOptions {
  components: readonly Component[];
  /** @defaultValue all that the layer's kernel allows */
  shapes?: readonly LowRankShape[];
  /** @defaultValue the plain one */
  pattern?: SparsePattern;
  /** Whether channels that the layer does without need not be made: then every number of them is looked at. */
  narrows?: boolean;
  seed: number;
  signal?: AbortSignal;
}

/** Directions of the response that are looked at; m is larger in wide fully connected layers only. */
const MAX_DIRECTIONS = 512;
/** Beside kept channels a high rank would not pay; the eigen-solve of 512 directions takes most of a curve's time. */
const MAX_DIRECTIONS_BESIDE = 160;
const MAX_RANKS = 64;
/** The image itself has nothing to be narrowed. */
const MIN_CHANNELS = 4;
const RIDGE = 1e-4;
const PLAIN = { shape: PLAIN_SHAPE, inner: 0 } as const;

/** A layer that is being looked at: what all of its curves are made from. */
interface Look {
  engine: Engine;
  problem: LayerProblem;
  options: StatisticsOptions;
  /** Whether a low-rank part may be used. */
  lowRank: boolean;
  /** Inputs [N, d] to fit on, and held-out ones. */
  train: Matrix;
  test: Matrix;
  /** W0 [m, d] */
  weights: Matrix;
  /** Centred responses of both, [N, m]. */
  own: { train: Matrix; test: Matrix };
  measure: Measure;
  /** Of the responses: a basis of all of them where they have one, and their principal directions. */
  span: Matrix | null;
  full: Spectrum;
  random: () => number;
}

/**
 * How the error of a layer falls with its rank, for every shape of the low-rank part and every number of kept groups.
 */
export async function layerStatistics(
  engine: Engine,
  problem: LayerProblem,
  options: StatisticsOptions,
): Promise<MeasuredLayer> {
  const look = await lookAt(engine, problem, options);
  const curves: RankCurve[] = [];
  const fits: TapFits[] = [];
  if (look.lowRank) {
    curves.push(await plainCurve(look));
    const narrow = await narrowCurves(look);
    curves.push(...narrow.curves);
    fits.push(...narrow.fits);
  }
  const pattern = options.pattern ?? PLAIN_PATTERN;
  if (options.components.includes('sparse'))
    curves.push(...(isMasked(pattern) ? await maskedCurves(look, pattern) : await columnCurves(look, pattern)));
  const narrower = await fewerChannels(look, curves);
  curves.push(...narrower.curves);
  const { own, train, measure, full } = look;
  const statistics = {
    samples: problem.inputs.length / look.weights.cols,
    energy: squaredNorm(own.train.data) / train.rows,
    activatedEnergy: measure.energy / look.test.rows,
    eigenvalues: [...full.values],
    curves,
  };
  return { statistics, fits, channelFits: narrower.fits };
}

async function lookAt(engine: Engine, problem: LayerProblem, options: StatisticsOptions): Promise<Look> {
  const { m, d, samples } = checkProblem(problem);
  const [seenInputs, test] = split(matrix(samples, d, problem.inputs));
  const enough = await withAddedSamples(engine, { ...problem, inputs: seenInputs.data }, options.seed);
  const train = matrix(enough.inputs.length / d, d, enough.inputs);
  const weights = matrix(m, d, problem.weights);
  const response = await engine.multiply(train, weights, { transposeB: true });
  const mean = columnMeans(response);
  const seen = await engine.multiply(test, weights, { transposeB: true });
  const skip = problem.skip === undefined ? undefined : split(matrix(samples, m, problem.skip))[1];
  const offset = mean.map((value, i) => value + problem.bias[i]);
  const own = { train: centered(response, mean), test: centered(seen, mean) };
  const truth = addToRows(seen, problem.bias);
  if (skip !== undefined) addInto(truth.data, skip.data, truth.data);
  const y = activated(problem.activation, truth.data);
  const after = responseMetric(problem.metricAfter);
  const energy =
    after === null ? squaredNorm(y) : squaredNorm((await engine.multiply(matrix(truth.rows, m, y), after.turn)).data);
  const measure: Measure = { problem, offset, skip, y, energy, metric: responseMetric(problem.metric), after };
  const random = seededRandom(options.seed);
  const span = await responseSpan(engine, weights);
  const full = await spectrum(engine, own.train, { limit: MAX_DIRECTIONS, random, metric: measure.metric, span });
  const lowRank = options.components.includes('low_rank');
  return { engine, problem, options, lowRank, train, test, weights, own, measure, span, full, random };
}

/** The rank of the response alone. */
async function plainCurve({ engine, weights, own, measure, full }: Look): Promise<RankCurve> {
  const ranks = rankGrid(weights, 0, full.values.length);
  const looked = { predicted: own.test, explained: null, spectrum: full, ranks };
  return { ...PLAIN, groups: 0, ...(await rankCurve(engine, measure, looked)) };
}

/** The shapes with a first convolution of their own. */
async function narrowCurves(look: Look): Promise<{ curves: RankCurve[]; fits: TapFits[] }> {
  const { engine, problem, options, train, test, weights, own, measure, random } = look;
  const shapes = options.shapes ?? lowRankShapes;
  const curves: RankCurve[] = [];
  const fits: TapFits[] = [];
  for (const shape of lowRankShapes) {
    const { firstConvolution } = SHAPE_FITS[shape];
    if (firstConvolution === null || !shapes.includes(shape)) continue;
    if (problem.channels <= MIN_CHANNELS || !LOW_RANK_SHAPES[shape].applies(problem)) continue;
    options.signal?.throwIfAborted();
    const data = { train, response: own.train, test, weights, measure };
    const measured = await tapStatistics(engine, { shape, first: firstConvolution }, data, random);
    if (measured === null) continue;
    fits.push(measured.fits);
    curves.push(...measured.curves);
  }
  return { curves, fits };
}

/** Of widths that no curve has yet. */
async function fewerChannels(
  { engine, options, train, test, weights, own, measure }: Look,
  known: readonly RankCurve[],
): Promise<{ fits: NarrowFits | null; curves: RankCurve[] }> {
  const { components, pattern = PLAIN_PATTERN, narrows = false, signal } = options;
  if (!narrows || !components.includes('sparse') || pattern !== PLAIN_PATTERN) return { fits: null, curves: [] };
  signal?.throwIfAborted();
  const found = await widthStatistics(engine, { train, response: own.train, test, weights, measure });
  if (found === null) return { fits: null, curves: [] };
  const alone = new Set(known.flatMap(({ groups, ranks }) => (ranks.includes(0) ? [groups] : [])));
  return { fits: found.fits, curves: found.curves.filter(({ groups }) => !alone.has(groups)) };
}

/** Ever more groups of a pattern whose outputs see different inputs. */
async function maskedCurves(look: Look, pattern: MaskedPattern): Promise<RankCurve[]> {
  const { engine, problem, options, lowRank, train, test, weights, own, span, random } = look;
  const most = Math.ceil(weights.rows / 8);
  const leading = lowRank
    ? (await spectrum(engine, own.train, { limit: most, random, metric: null, span })).directions
    : null;
  const data = { train, test, weights, own, leading };
  const curves: RankCurve[] = [];
  for await (const { groups, columns, ...explained } of maskedExplanations(engine, pattern, problem.channels, data)) {
    options.signal?.throwIfAborted();
    const { curve } = await besideExplained(look, explained, { columns, span: null });
    curves.push({ ...PLAIN, groups, pattern, ...curve });
  }
  return curves;
}

/** Ever more columns of the inputs, by what they explain of what is left. */
async function columnCurves(look: Look, pattern: SparsePattern): Promise<RankCurve[]> {
  const { engine, problem, options, lowRank, train, test, weights, own, full, span } = look;
  // A group of columns is a channel of a layer with as many taps.
  const taps = PATTERN[pattern].width(problem.taps);
  const view = { ...problem, channels: weights.cols / taps, taps };
  const factors = channelFactors(train, view);
  const kept: number[] = [];
  const curves: RankCurve[] = [];
  let rest = { residual: own.train, spectrum: full };
  for (const groups of groupGrid(view.channels, lowRank, problem.taps / taps)) {
    options.signal?.throwIfAborted();
    const residual = lowRank ? await withoutLeading(engine, rest, Math.ceil(weights.rows / 8)) : rest.residual;
    const gains = await channelGains(engine, residual, { inputs: train, problem: view, factors });
    for (const channel of kept) gains[channel] = -1;
    kept.push(...topGroups(gains, groups - kept.length));
    const explained = await explainedBy(engine, { train, test }, { kept, taps, response: own.train });
    const beside = await besideExplained(look, explained, { columns: groups * taps, span });
    curves.push({ ...PLAIN, groups, ...(pattern === PLAIN_PATTERN ? {} : { pattern }), ...beside.curve });
    rest = beside.rest;
  }
  return curves;
}

/** The rank of what a sparse part of so many columns does not explain; rank 0 alone where there is no low-rank part. */
async function besideExplained(
  { engine, lowRank, weights, own, measure, full, random }: Look,
  explained: { train: Matrix; test: Matrix },
  { columns, span }: { columns: number; span: Matrix | null },
): Promise<{ curve: Pick<RankCurve, 'ranks' | 'errors'>; rest: { residual: Matrix; spectrum: Spectrum } }> {
  const residual = difference(own.train, explained.train);
  const options = { limit: MAX_DIRECTIONS_BESIDE, random, metric: measure.metric, span };
  const values = lowRank ? await spectrum(engine, residual, options) : full;
  const ranks = [0, ...(lowRank ? rankGrid(weights, columns, values.values.length) : [])];
  const predicted = difference(own.test, explained.test);
  const looked = { predicted, explained: explained.test, spectrum: values, ranks };
  return { curve: await rankCurve(engine, measure, looked), rest: { residual, spectrum: values } };
}

/** Ranks for which rank (m + d) + s m stays below the dense m d, with s columns of the sparse part. */
function rankGrid({ rows: m, cols: d }: Matrix, sparseColumns: number, directions: number): number[] {
  const step = roundingStep(m);
  const limit = Math.min(directions, m - 1, Math.ceil((m * (d - sparseColumns)) / (m + d)) - 1);
  const stride = step * Math.max(1, Math.ceil(limit / step / MAX_RANKS));
  const ranks: number[] = [];
  for (let rank = stride; rank <= limit; rank += stride) ranks.push(rank);
  return ranks;
}

/** Beside a low-rank part few channels can pay; alone, the sparse part needs the whole range. */
function groupGrid(channels: number, lowRank: boolean, factor: number): number[] {
  const step = factor * roundingStep(channels / factor);
  if (lowRank) return [1, 2, 4].map((steps) => steps * step).filter((groups) => groups <= channels / 4);
  const stride = step * Math.max(1, Math.ceil(channels / step / 16));
  return Array.from({ length: Math.ceil(channels / stride) - 1 }, (_, i) => (i + 1) * stride);
}

/** What the kept channels explain of `response` [train.rows, m], on the samples of the fit and on the held-out ones. */
async function explainedBy(
  engine: Engine,
  { train, test }: { train: Matrix; test: Matrix },
  { kept, taps, response }: { kept: readonly number[]; taps: number; response: Matrix },
): Promise<{ train: Matrix; test: Matrix }> {
  const columns = channelColumns(train, kept, taps);
  const features = await whitenedFeatures(engine, columns, {
    free: columns.cols,
    prior: matrix(response.cols, columns.cols),
    ridge: RIDGE,
  });
  const k = await engine.multiply(response, features.held, { transposeA: true });
  for (let i = 0; i < k.data.length; i++) k.data[i] = k.data[i] / response.rows;
  const whiten = matrix(columns.cols, columns.cols, Float32Array.from(features.whiten));
  const unseen = await engine.multiply(centered(channelColumns(test, kept, taps), features.mean), whiten, {
    transposeB: true,
  });
  const explained = {
    train: await engine.multiply(features.held, k, { transposeB: true }),
    test: await engine.multiply(unseen, k, { transposeB: true }),
  };
  features.held.dispose();
  return explained;
}

async function withoutLeading(
  engine: Engine,
  { residual, spectrum: { directions, terms } }: { residual: Matrix; spectrum: Spectrum },
  rank: number,
): Promise<Matrix> {
  const used = Math.min(rank, directions.rows);
  const scores = await engine.multiply(residual, rowsOf(directions, 0, used), { transposeB: true });
  return difference(residual, await engine.multiply(scores, rowsOf(terms, 0, used)));
}
