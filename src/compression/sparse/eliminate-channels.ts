import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import { centered, columnMeans } from '../linalg/columns.js';
import { cholesky, lowerSolveIdentity } from '../linalg/cholesky.js';
import type { ResponseMetric } from '../regression/response-metric.js';

/** The inverse of the inputs' second moments is worked with: the time grows with its third power. */
export const MAX_ELIMINATED_COLUMNS = 2304;
/** Channels that go at once: one in so many of all. What they lose together is looked at before the next. */
const ROUNDS = 16;
/** Of the variance of every column. */
const RIDGE = 1e-3;

/** A layer whose input channels are to be put in order. */
export interface Elimination {
  /** [N, channels * taps] */
  inputs: Matrix;
  /** [m, channels * taps] */
  weights: Matrix;
  taps: number;
  /** In which a difference of the responses counts; null: all alike. */
  metric: ResponseMetric | null;
}

/**
 * All input channels of a layer, in the order in which they should be kept, the most important one first. Backward
 * elimination: a channel costs what the response loses without it when the weights of all others make up for it, that
 * is w (H⁻¹ at the channel)⁻¹ wᵀ with H the second moments of the inputs (Hassibi and Stork 1993, for groups of
 * weights); the cheapest go, the others make up for them, and so on.
 */
export async function channelsByImportance(
  engine: Engine,
  { inputs, weights, taps, metric }: Elimination,
): Promise<number[]> {
  const channels = inputs.cols / taps;
  let { inverse, outputs } = await startOf(engine, { inputs, weights, metric });
  let left = Array.from({ length: channels }, (_, channel) => channel);
  const gone: number[] = [];
  const batch = Math.max(1, Math.ceil(channels / ROUNDS));
  while (left.length > batch) {
    const losses = lossesOf(inverse, outputs, taps);
    const order = [...left.keys()].sort((a, b) => losses[a] - losses[b] || left[b] - left[a]);
    const drop = order.slice(0, batch).sort((a, b) => a - b);
    gone.push(...order.slice(0, batch).map((place) => left[place]));
    const dropped = new Set(drop);
    const keep = [...left.keys()].filter((place) => !dropped.has(place));
    ({ inverse, outputs } = await without(engine, { inverse, outputs }, { keep, drop, taps }));
    left = keep.map((place) => left[place]);
  }
  const losses = lossesOf(inverse, outputs, taps);
  const last = [...left.keys()].sort((a, b) => losses[a] - losses[b] || left[b] - left[a]);
  return [...gone, ...last.map((place) => left[place])].reverse();
}

interface State {
  /** H⁻¹ [n, n] of columns of variance 1. */
  inverse: Matrix;
  /** Weights of these columns, [r, n], in the metric. */
  outputs: Matrix;
}

async function startOf(
  engine: Engine,
  { inputs, weights, metric }: Pick<Elimination, 'inputs' | 'weights' | 'metric'>,
): Promise<State> {
  const n = inputs.cols;
  const gram = await engine.gram(centered(inputs, columnMeans(inputs)));
  const deviations = Float64Array.from({ length: n }, (_, i) => Math.sqrt(Math.max(0, gram[i * n + i] / inputs.rows)));
  const scales = deviations.map((deviation) => (deviation > 0 ? 1 / deviation : 0));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) gram[i * n + j] = (gram[i * n + j] / inputs.rows) * scales[i] * scales[j];
    gram[i * n + i] = (scales[i] === 0 ? 1 : gram[i * n + i]) + RIDGE;
  }
  const root = lowerSolveIdentity(cholesky(gram, n, 'Gram matrix of the layer inputs'), n);
  const inverse = matrix(n, n, Float32Array.from(await engine.gram(matrix(n, n, Float32Array.from(root)))));
  const turned = metric === null ? weights : await engine.multiply(metric.turn, weights, { transposeA: true });
  const outputs = matrix(turned.rows, n);
  for (let r = 0, i = 0; r < turned.rows; r++)
    for (let j = 0; j < n; j++, i++) outputs.data[i] = turned.data[i] * deviations[j];
  return { inverse, outputs };
}

/** What each channel costs by itself. */
function lossesOf({ data, cols: n }: Matrix, outputs: Matrix, taps: number): Float64Array {
  const channels = n / taps;
  const losses = new Float64Array(channels);
  const solved = new Float64Array(taps);
  for (let c = 0; c < channels; c++) {
    const block = new Float64Array(taps * taps);
    for (let s = 0; s < taps; s++)
      for (let t = 0; t < taps; t++) {
        const [i, j] = [c * taps + s, c * taps + t];
        block[s * taps + t] = (data[i * n + j] + data[j * n + i]) / 2;
      }
    const factor = cholesky(block, taps, `inverse of channel ${String(c)}`);
    let loss = 0;
    for (let r = 0; r < outputs.rows; r++) {
      const from = r * n + c * taps;
      for (let s = 0; s < taps; s++) {
        let rest = outputs.data[from + s];
        for (let t = 0; t < s; t++) rest -= factor[s * taps + t] * solved[t];
        solved[s] = rest / factor[s * taps + s];
        loss += solved[s] ** 2;
      }
    }
    losses[c] = loss;
  }
  return losses;
}

/** The rest when some channels are gone and made up for: a Schur complement, and the weights that follow from it. */
async function without(
  engine: Engine,
  { inverse, outputs }: State,
  { keep, drop, taps }: { keep: readonly number[]; drop: readonly number[]; taps: number },
): Promise<State> {
  const columnsOf = (places: readonly number[]) =>
    places.flatMap((place) => Array.from({ length: taps }, (_, tap) => place * taps + tap));
  const [kept, gone] = [columnsOf(keep), columnsOf(drop)];
  const size = gone.length;
  const own = Float64Array.from(part(inverse, gone, gone).data);
  const back = matrix(size, size, Float32Array.from(lowerSolveIdentity(cholesky(own, size, 'dropped channels'), size)));
  const across = await engine.multiply(back, part(inverse, gone, kept));
  const fall = await engine.multiply(across, across, { transposeA: true });
  const rest = part(inverse, kept, kept);
  for (let i = 0; i < rest.data.length; i++) rest.data[i] = rest.data[i] - fall.data[i];
  const all = Array.from({ length: outputs.rows }, (_, r) => r);
  const moved = await engine.multiply(
    await engine.multiply(part(outputs, all, gone), back, { transposeB: true }),
    across,
  );
  const next = part(outputs, all, kept);
  for (let i = 0; i < next.data.length; i++) next.data[i] = next.data[i] - moved.data[i];
  return { inverse: rest, outputs: next };
}

function part(a: Matrix, rows: readonly number[], columns: readonly number[]): Matrix {
  const out = matrix(rows.length, columns.length);
  let i = 0;
  for (const row of rows) for (const column of columns) out.data[i++] = a.data[row * a.cols + column];
  return out;
}
