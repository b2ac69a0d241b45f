import { toInt8 } from './int8.js';
import { kMeans } from './kmeans.js';
import { rowOf, type Layout } from './layout.js';

/** Bits of a weight in a codebook: an index of 8 bits stands for one weight, or for 2, 3 (2.67 bits each) or 4 neighbours. */
export const WEIGHT_BITS = [2, 3, 4, 8] as const;
export type WeightBits = (typeof WEIGHT_BITS)[number];

const WIDTH: Readonly<Record<WeightBits, number>> = { 2: 4, 3: 3, 4: 2, 8: 1 };
/** Of a table; of one for few vectors a quarter of them. */
const ENTRIES = 256;
const VECTORS_PER_ENTRY = 4;
/** With fewer vectors to share a table, 8-bit integers lose less and take hardly more. */
const FEWEST_VECTORS = 256;
/** Vectors of a tensor that has a table of its own: its bytes are then hardly more than those of one that all share. */
const OWN_TABLE = 8192;
/** Bits of a row below which its scale would take too large a part: such a tensor has one scale for all rows. */
const FEWEST_BITS_PER_SCALE = 128;
/** Fewer weights than this stay float32: the nodes that decode them take about as many bytes as they save. */
export const FEWEST_WEIGHTS = 256;

/** How the weights of one tensor are kept: entries of vectors out of a table, times the scale of their row. */
export interface WeightCode {
  weight: string;
  dims: number[];
  layout: Layout & { rowAxis: number };
  /** [entries, width]; tensors may share one. Null: `indices` are the numbers themselves. */
  table: Float32Array | null;
  /** Neighbours in the flat weights that one index stands for. */
  width: number;
  /** [weights / width] */
  indices: Uint8Array | Int8Array;
  /** One for every row, or one for all. */
  scales: Float32Array;
}

/** A tensor whose weights are to be kept in so many bits each. */
export interface WeightsToCode extends Pick<WeightCode, 'weight' | 'dims' | 'layout'> {
  values: Float32Array;
  /** How much an error in each weight matters. */
  importance: Float32Array;
  bits: WeightBits;
}

/** Neighbours that an index stands for: a number of weights that cannot be divided so has fewer to an index. */
export function vectorWidth(count: number, bits: WeightBits): number {
  for (let width = WIDTH[bits]; width > 1; width--) if (count % width === 0) return width;
  return 1;
}

const ownTable = (vectors: number): boolean => vectors >= OWN_TABLE;
const scaleCount = (rows: number, count: number, bits: WeightBits): number =>
  (count / rows) * bits < FEWEST_BITS_PER_SCALE ? 1 : rows;

/**
 * Bytes that so many weights take as a code, with what decodes them; of tables that several share, nothing.
 * @param rows outputs of the linear map, which have a scale each
 */
export function codedBytes({ rows, count }: { rows: number; count: number }, bits: WeightBits): number {
  if (count < FEWEST_WEIGHTS) return 4 * count;
  const width = vectorWidth(count, bits);
  const vectors = count / width;
  const table = ownTable(vectors) ? 2 * ENTRIES * width : 0;
  return vectors + 2 * scaleCount(rows, count, bits) + table + DECODING_BYTES;
}

/** Squared error of coded weights over their own squares; measured on factors of ResNet-20 and VGG-16, within a quarter. */
export const CODING_NOISE: Readonly<Record<WeightBits, number>> = { 2: 0.11, 3: 0.045, 4: 0.011, 8: 6e-5 };

/** Of the nodes that decode a tensor, and of what their tensors have beside numbers. */
const DECODING_BYTES = 140;

/**
 * Codes of weights: weighted k-means (see `kMeans`) on rows that are brought to one size. Large tensors have a table of their own,
 * the small ones of one width share one; where even that has too few weights, they are 8-bit integers.
 * @param random a generator for every table
 */
export function weightCodes(tensors: readonly WeightsToCode[], random: (table: number) => () => number): WeightCode[] {
  const tables = new Map<string, WeightsToCode[]>();
  for (const tensor of tensors) {
    const { weight, values, bits } = tensor;
    const width = vectorWidth(values.length, bits);
    const key = `${String(width)} ${ownTable(values.length / width) ? weight : ''}`;
    tables.set(key, [...(tables.get(key) ?? []), tensor]);
  }
  const codes = [...tables.values()].flatMap((sharing, i) => inOneTable(sharing, random(i)));
  const order = new Map(tensors.map(({ weight }, i) => [weight, i]));
  return codes.sort((a, b) => (order.get(a.weight) ?? 0) - (order.get(b.weight) ?? 0));
}

function inOneTable(tensors: readonly WeightsToCode[], random: () => number): WeightCode[] {
  const count = tensors.reduce((sum, { values }) => sum + values.length, 0);
  const [first] = tensors;
  const width = first === undefined ? 1 : vectorWidth(first.values.length, first.bits);
  const vectors = count / width;
  if (vectors < FEWEST_VECTORS) return tensors.map(integers);
  const k = Math.min(ENTRIES, Math.floor(vectors / VECTORS_PER_ENTRY));
  const scales = tensors.map(rootMeanSquares);
  const values = new Float32Array(count);
  const weights = new Float32Array(count);
  let at = 0;
  for (const [t, tensor] of tensors.entries()) {
    const scaleAt = scaleOf(scales[t], tensor.layout);
    const matters = new Float32Array(tensor.values.length);
    tensor.values.forEach((value, i) => {
      const scale = scaleAt(i);
      values[at + i] = value / scale;
      matters[i] = tensor.importance[i] * scale ** 2;
    });
    weights.set(even(matters), at);
    at += tensor.values.length;
  }
  const { centroids, indices } = kMeans(values, weights, { k, width, random });
  let begin = 0;
  return tensors.map(({ weight, dims, layout, values: own, importance }, t) => {
    const end = begin + own.length / width;
    const code: WeightCode = {
      ...{ weight, dims, layout, width, table: centroids },
      ...{ indices: indices.slice(begin, end), scales: scales[t] },
    };
    begin = end;
    fitScales(code, own, importance);
    return code;
  });
}

function integers({ weight, dims, layout, values, importance }: WeightsToCode): WeightCode {
  const { values: indices, scales } = toInt8(values, importance, layout);
  return { weight, dims, layout, table: null, width: 1, indices, scales };
}

/** The weights, in float32. */
export function decoded(code: WeightCode): Float32Array {
  const result = unscaled(code);
  const scaleAt = scaleOf(code.scales, code.layout);
  for (let i = 0; i < result.length; i++) result[i] = result[i] * scaleAt(i);
  return result;
}

/** The weights before they are multiplied with the scales. */
export function unscaled({ table, width, indices }: WeightCode): Float32Array {
  if (table === null) return Float32Array.from(indices);
  const result = new Float32Array(indices.length * width);
  for (let v = 0; v < indices.length; v++) {
    const from = indices[v] * width;
    for (let e = 0; e < width; e++) result[v * width + e] = table[from + e];
  }
  return result;
}

/** The scale of every weight. */
export const scaleOf = (scales: Float32Array, layout: Layout): ((i: number) => number) =>
  scales.length === 1 ? () => scales[0] : (i) => scales[rowOf(layout, i)];

/** Weights around 1, so that sums of them stay in the middle of the range of numbers. */
function even(weights: Float32Array): Float32Array {
  const mean = weights.reduce((a, b) => a + b, 0) / weights.length;
  return mean > 0 && Number.isFinite(mean) ? weights.map((w) => Math.max(w / mean, 1e-12)) : weights.fill(1);
}

/** Of the rows, or of all weights; 1 for zeros. */
function rootMeanSquares({ values, layout, bits }: WeightsToCode): Float32Array {
  const sums = new Float64Array(scaleCount(layout.rows, values.length, bits));
  for (const [i, value] of values.entries()) {
    const row = sums.length === 1 ? 0 : rowOf(layout, i);
    sums[row] = sums[row] + value * value;
  }
  return Float32Array.from(sums, (sum) => Math.sqrt((sum * sums.length) / values.length) || 1);
}

/** The scales that leave the least sum of importance * (w - scale * coded)^2. */
function fitScales(code: WeightCode, values: Float32Array, importance: Float32Array): void {
  const { scales, layout } = code;
  const products = new Float64Array(scales.length);
  const squares = new Float64Array(scales.length);
  const numbers = unscaled(code);
  for (let i = 0; i < values.length; i++) {
    const row = scales.length === 1 ? 0 : rowOf(layout, i);
    const weighted = importance[i] * numbers[i];
    products[row] = products[row] + weighted * values[i];
    squares[row] = squares[row] + weighted * numbers[i];
  }
  for (let row = 0; row < scales.length; row++) if (squares[row] > 0) scales[row] = products[row] / squares[row];
}
