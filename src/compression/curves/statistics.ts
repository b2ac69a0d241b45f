import { matrix, rowsOf, type Engine, type Matrix } from '../../engines/index.js';
import { applyActivation } from '../prox/activation-function.js';
import { addToRows, centered, channelColumns, columnMeans, difference } from '../linalg/columns.js';
import { addInto } from '../activations/elementwise.js';
import { withAddedSamples } from '../regression/few-samples.js';
import { whitenedFeatures } from '../regression/features.js';
import { LOW_RANK_SHAPES, lowRankShapes, PLAIN_SHAPE, type LowRankShape } from '../../models/low-rank/index.js';
import { isMasked, PATTERN, PLAIN_PATTERN, type SparsePattern } from '../../models/sparse/index.js';
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
import { tapStatistics, type TapFits } from './tap-statistics.js';
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
}

export interface StatisticsOptions {
  components: readonly Component[];
  /** @defaultValue all that the layer's kernel allows */
  shapes?: readonly LowRankShape[];
  /** @defaultValue the plain one */
  pattern?: SparsePattern;
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

export async function layerStatistics(
  engine: Engine,
  problem: LayerProblem,
  options: StatisticsOptions,
): Promise<MeasuredLayer> {
  const { m, d, samples } = checkProblem(problem);
  const [seenInputs, test] = split(matrix(samples, d, problem.inputs));
  const enough = await withAddedSamples(engine, { ...problem, inputs: seenInputs.data }, options.seed);
  const train = matrix(enough.inputs.length / d, d, enough.inputs);
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
  const after = responseMetric(problem.metricAfter);
  const energy =
    after === null ? squaredNorm(y) : squaredNorm((await engine.multiply(matrix(truth.rows, m, y), after.turn)).data);
  const measure: Measure = { problem, offset, skip, y, energy, metric: responseMetric(problem.metric), after };
  const random = seededRandom(options.seed);

  const lowRank = options.components.includes('low_rank');
  const span = await responseSpan(engine, weights);
  const full = await spectrum(engine, own.train, { limit: MAX_DIRECTIONS, random, metric: measure.metric, span });
  const curves: RankCurve[] = [];
  const fits: TapFits[] = [];
  const shapes = options.shapes ?? lowRankShapes;
  if (lowRank) {
    const grid = rankGrid(m, d, 0, full.values.length);
    curves.push({
      ...PLAIN,
      groups: 0,
      ...(await rankCurve(engine, measure, { predicted: own.test, explained: null, spectrum: full, ranks: grid })),
    });
  }
  for (const shape of lowRankShapes) {
    const { firstConvolution } = SHAPE_FITS[shape];
    if (firstConvolution === null || !lowRank || !shapes.includes(shape)) continue;
    if (problem.channels <= MIN_CHANNELS || !LOW_RANK_SHAPES[shape].applies(problem)) continue;
    options.signal?.throwIfAborted();
    const data = { train, response: own.train, test, weights, measure };
    const measured = await tapStatistics(engine, { shape, first: firstConvolution }, data, random);
    if (measured === null) continue;
    fits.push(measured.fits);
    curves.push(...measured.curves);
  }
  const pattern = options.pattern ?? PLAIN_PATTERN;
  if (options.components.includes('sparse') && isMasked(pattern)) {
    const leading = lowRank
      ? (await spectrum(engine, own.train, { limit: Math.ceil(m / 8), random, metric: null, span })).directions
      : null;
    const data = { train, test, weights, own, leading };
    for await (const { groups, columns, ...explained } of maskedExplanations(engine, pattern, problem.channels, data)) {
      options.signal?.throwIfAborted();
      const unexplained = difference(own.train, explained.train);
      const values = lowRank
        ? await spectrum(engine, unexplained, { limit: MAX_DIRECTIONS_BESIDE, random, metric: measure.metric })
        : full;
      const grid = lowRank ? rankGrid(m, d, columns, values.values.length) : [];
      const unseen = difference(own.test, explained.test);
      const curve = await rankCurve(engine, measure, {
        predicted: unseen,
        explained: explained.test,
        spectrum: values,
        ranks: [0, ...grid],
      });
      curves.push({ ...PLAIN, groups, pattern, ...curve });
    }
  } else if (options.components.includes('sparse')) {
    // A column is a channel of a layer with one tap.
    const taps = PATTERN[pattern].width(problem.taps);
    const view = { ...problem, channels: d / taps, taps };
    const factors = channelFactors(train, view);
    const kept: number[] = [];
    let rest = { residual: own.train, spectrum: full };
    for (const groups of groupGrid(view.channels, lowRank, problem.taps / taps)) {
      options.signal?.throwIfAborted();
      const residual = lowRank ? await withoutLeading(engine, rest, Math.ceil(m / 8)) : rest.residual;
      const gains = await channelGains(engine, residual, { inputs: train, problem: view, factors });
      for (const channel of kept) gains[channel] = -1;
      kept.push(...topGroups(gains, groups - kept.length));
      const explained = await explainedBy(engine, { train, test }, { kept, taps, response: own.train });
      const left = difference(own.train, explained.train);
      const values = lowRank
        ? await spectrum(engine, left, { limit: MAX_DIRECTIONS_BESIDE, random, metric: measure.metric, span })
        : full;
      const grid = lowRank ? rankGrid(m, d, groups * taps, values.values.length) : [];
      const unseen = difference(own.test, explained.test);
      curves.push({
        ...PLAIN,
        groups,
        ...(pattern === PLAIN_PATTERN ? {} : { pattern }),
        ...(await rankCurve(engine, measure, {
          predicted: unseen,
          explained: explained.test,
          spectrum: values,
          ranks: [0, ...grid],
        })),
      });
      rest = { residual: left, spectrum: values };
    }
  }
  const statistics = {
    samples,
    energy: squaredNorm(own.train.data) / train.rows,
    activatedEnergy: measure.energy / test.rows,
    eigenvalues: [...full.values],
    curves,
  };
  return { statistics, fits };
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
  { residual, spectrum: { directions, terms } }: { residual: Matrix; spectrum: Spectrum },
  rank: number,
): Promise<Matrix> {
  const used = Math.min(rank, directions.rows);
  const scores = await engine.multiply(residual, rowsOf(directions, 0, used), { b: true });
  return difference(residual, await engine.multiply(scores, rowsOf(terms, 0, used)));
}
