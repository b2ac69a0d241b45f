import { rowOf, type Layout } from './layout.js';

export interface Int8Weights {
  /** In -127..127: symmetric, so that zero is exact and negation loses nothing. */
  values: Int8Array;
  /** One per row: weight = value * scale. */
  scales: Float32Array;
}

/** Shares of a row's largest weight that are tried as the largest that can be told. */
const CLIPS = [1, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6];

/**
 * Symmetric 8-bit integers with a scale for every row: round(w / scale), limited to -127..127. The scale is the one of several clip
 * ratios that loses least, sum of importance * (w - ŵ)^2 over the row.
 * @param importance one per weight
 */
export function toInt8(weights: Float32Array, importance: Float32Array, layout: Layout): Int8Weights {
  const largest = new Float32Array(layout.rows);
  for (let i = 0; i < weights.length; i++) {
    const row = rowOf(layout, i);
    largest[row] = Math.max(largest[row] ?? 0, Math.abs(weights[i] ?? 0));
  }
  const scales = new Float32Array(layout.rows).fill(1);
  const least = new Float64Array(layout.rows).fill(Infinity);
  for (const clip of CLIPS) {
    const tried = largest.map((value) => scaleOf(value * clip));
    const losses = new Float64Array(layout.rows);
    for (let i = 0; i < weights.length; i++) {
      const row = rowOf(layout, i);
      const scale = tried[row] ?? 1;
      const weight = weights[i] ?? 0;
      const error = weight - rounded(weight, scale) * scale;
      losses[row] = (losses[row] ?? 0) + (importance[i] ?? 0) * error * error;
    }
    for (let row = 0; row < layout.rows; row++) {
      if ((losses[row] ?? 0) >= (least[row] ?? 0)) continue;
      least[row] = losses[row] ?? 0;
      scales[row] = tried[row] ?? 1;
    }
  }
  return { values: Int8Array.from(weights, (w, i) => rounded(w, scales[rowOf(layout, i)] ?? 1)), scales };
}

/** A row of zeros has any scale; the smallest normal float32 keeps the quotient finite. */
const scaleOf = (largest: number): number => (largest === 0 ? 1 : Math.max(largest / 127, 2 ** -126));

const rounded = (weight: number, scale: number): number => Math.max(-127, Math.min(127, Math.round(weight / scale)));
