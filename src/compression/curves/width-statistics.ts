import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import { channelColumns } from '../linalg/columns.js';
import { PLAIN_SHAPE } from '../../models/low-rank/index.js';
import { partialErrors } from '../regression/held-out.js';
import { roundingStep } from '../low-rank/rank-grid.js';
import { channelsByImportance, MAX_ELIMINATED_COLUMNS } from '../sparse/eliminate-channels.js';
import { leadingFit } from './leading-fit.js';
import type { RankCurve } from './rank-curve.js';
import type { NarrowFits, TapData } from './tap-statistics.js';

/** Widths that are looked at are so many parts of all channels. */
const PARTS = 16;
/** Fewer are no layer any more. */
const FEWEST_PARTS = 4;
const RIDGE = 1e-3;

/**
 * Curves of a layer that keeps some of its input channels and nothing else, from a quarter of them on: where no other
 * layer reads them, the others need not be made.
 *
 * @returns null for a layer of few or very many inputs
 */
export async function widthStatistics(
  engine: Engine,
  { train, response, test, weights, measure }: TapData,
): Promise<{ fits: NarrowFits; curves: RankCurve[] } | null> {
  const { channels, taps } = measure.problem;
  const widths = widthsOf(channels);
  const widest = widths.at(-1);
  if (widest === undefined || channels * taps > MAX_ELIMINATED_COLUMNS) return null;
  const order = await channelsByImportance(engine, { inputs: train, weights, taps, metric: measure.metric });
  const leading = order.slice(0, widest);
  const columns = (a: Matrix): Matrix => channelColumns(a, leading, taps);
  const { scores, terms, on } = await leadingFit(engine, {
    ...{ train: columns(train), response, test: columns(test), prior: columns(weights), ridge: RIDGE },
    offset: measure.offset,
  });
  const counts = widths.map((width) => width * taps);
  const errors = await partialErrors(engine, measure, { scores, terms, explained: null, counts });
  const fits: NarrowFits = {
    widths,
    errors,
    dense: (width) => {
      const { coefficients, bias } = on(width * taps);
      const all = spread(matrix(bias.length, width * taps, coefficients), { order, taps, columns: weights.cols });
      return Promise.resolve({ weights: all, bias });
    },
  };
  const curves = widths.map((groups, i): RankCurve => {
    return { shape: PLAIN_SHAPE, inner: 0, groups, ranks: [0], errors: [errors[i]] };
  });
  return { fits, curves };
}

/** Ascending, in multiples of what a layer of so many channels is rounded to. */
function widthsOf(channels: number): number[] {
  const step = roundingStep(channels);
  const widths = new Set<number>();
  for (let part = FEWEST_PARTS; part < PARTS; part++) widths.add(step * Math.round((part * channels) / (PARTS * step)));
  return [...widths].filter((width) => width > 0 && width < channels);
}

/** Weights of the leading channels at their places among all columns. */
function spread(
  { rows, cols, data }: Matrix,
  { order, taps, columns }: { order: readonly number[]; taps: number; columns: number },
): Float32Array {
  const out = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < cols / taps; i++) {
      const from = row * cols + i * taps;
      out.set(data.subarray(from, from + taps), row * columns + (order[i] ?? 0) * taps);
    }
  return out;
}
