import type { Layout } from './layout.js';

export interface Int8Weights {
  /** In -127..127: symmetric, so that zero is exact and negation loses nothing. */
  values: Int8Array;
  /** One per row: weight = value * scale. */
  scales: Float32Array;
}

export interface Int8Options {
  /** Scales may not be smaller, one per row. */
  least?: Float32Array;
  /** Keeps neighbours small enough for `NEIGHBOURS_MAX`. */
  neighbours?: boolean;
}

/** Shares of a row's largest weight that are tried as the largest that can be told. */
const CLIPS = [1, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6];
/** For rows with large neighbours; with twice the range no two weights can exceed the bound. */
const WIDER = [1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2];

/**
 * The most that two neighbours of one sign may add up to. x86 processors without VNNI multiply unsigned by signed bytes
 * in pairs and add each pair into a signed 16-bit number that saturates (VPMADDUBSW): 255 * 128 = 32640 is the last
 * multiple that fits.
 */
const NEIGHBOURS_MAX = 128;

/**
 * Symmetric 8-bit integers with a scale for every row: round(w / scale), limited to -127..127. The scale is the one of
 * several clip ratios that loses least, sum of importance * (w - ŵ)^2 over the row.
 * @param importance one per weight
 */
export function toInt8(
  weights: Float32Array,
  importance: Float32Array,
  layout: Layout,
  { least, neighbours = false }: Int8Options = {},
): Int8Weights {
  const values = new Int8Array(weights.length);
  const scales = new Float32Array(layout.rows);
  const perRow = weights.length / layout.rows;
  const [row, matters] = [new Float64Array(perRow), new Float64Array(perRow)];
  const places = placesOf(layout, perRow);
  for (let r = 0; r < layout.rows; r++) {
    const begin = r * layout.rowStride;
    let largest = 0;
    for (let k = 0; k < perRow; k++) {
      const at = begin + places[k];
      const weight = weights[at];
      row[k] = weight;
      matters[k] = importance[at];
      largest = Math.max(largest, Math.abs(weight));
    }
    const scale = bestScale(row, matters, { largest, least: least?.[r] ?? 0, neighbours });
    scales[r] = scale;
    for (let k = 0; k < perRow; k++) values[begin + places[k]] = rounded(row[k], scale);
  }
  return { values, scales };
}

/**
 * Of a row's elements from its first one, in the order in which kernels go through them: all inputs of a tap, then
 * those of the next.
 */
function placesOf({ inputs, inputStride }: Layout, perRow: number): Int32Array {
  return Int32Array.from({ length: perRow }, (_, k) => (k % inputs) * inputStride + Math.floor(k / inputs));
}

function bestScale(
  row: Float64Array,
  importance: Float64Array,
  { largest, least, neighbours }: { largest: number; least: number; neighbours: boolean },
): number {
  let best = 1;
  let lowest = Infinity;
  for (const clip of neighbours ? [...CLIPS, ...WIDER] : CLIPS) {
    const scale = Math.fround(Math.max(scaleOf(largest * clip), least));
    let loss = 0;
    for (let k = 0; k < row.length; k++) {
      const weight = row[k];
      const error = weight - rounded(weight, scale) * scale;
      loss += importance[k] * error * error;
    }
    if (loss >= lowest || (neighbours && !neighboursFit(row, scale))) continue;
    lowest = loss;
    best = scale;
  }
  return best;
}

function neighboursFit(row: Float64Array, scale: number): boolean {
  for (let k = 0; k + 1 < row.length; k += 2) {
    const sum = rounded(row[k], scale) + rounded(row[k + 1], scale);
    if (sum > NEIGHBOURS_MAX || sum < -NEIGHBOURS_MAX) return false;
  }
  return true;
}

/** A row of zeros has any scale; the smallest normal float32 keeps the quotient finite. */
const scaleOf = (largest: number): number => (largest === 0 ? 1 : Math.max(largest / 127, 2 ** -126));

const rounded = (weight: number, scale: number): number => Math.max(-127, Math.min(127, Math.round(weight / scale)));
