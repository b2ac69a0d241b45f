import { usesOf, type Layer, type LayerUse } from './layer.js';
import type { FloatTensor } from '../datasets/tensor.js';

export interface ChosenPositions {
  /** Index into the batch that `input` holds. */
  images: ArrayLike<number>;
  /** Place in the layer's output of that image, row-major. */
  positions: ArrayLike<number>;
}

type Geometry = Pick<Layer, 'd' | 'channels' | 'kernel' | 'strides' | 'dilations' | 'pads' | 'positions'> &
  Partial<Pick<Layer, 'transposed' | 'outputSize'>>;

/** Of chosen places of a layer those that belong to one of its uses. */
export interface UsePlaces {
  /** Its place among the uses. */
  index: number;
  /** The layer as that node applies it. */
  layer: Geometry & Pick<Layer, 'm'> & LayerUse;
  chosen: ChosenPositions;
  /** Which of the chosen places they are; null: all, in order. */
  rows: readonly number[] | null;
}

/** The positions of a layer are those of its uses, one behind the other. */
export function placesOfUses(layer: Layer, chosen: ChosenPositions): UsePlaces[] {
  if (layer.uses === undefined) return [{ index: 0, layer, chosen, rows: null }];
  let begin = 0;
  return usesOf(layer).map((use, index): UsePlaces => {
    const from = begin;
    begin += use.positions;
    const rows: number[] = [];
    for (let r = 0; r < chosen.positions.length; r++) {
      const position = chosen.positions[r] ?? 0;
      if (position >= from && position < begin) rows.push(r);
    }
    const { d, m, channels, kernel, transposed } = layer;
    const own = { d, m, channels, kernel, ...(transposed === undefined ? {} : { transposed }) };
    return {
      index,
      layer: { ...use, ...own },
      chosen: {
        images: rows.map((r) => chosen.images[r] ?? 0),
        positions: rows.map((r) => (chosen.positions[r] ?? 0) - from),
      },
      rows,
    };
  });
}

/** Puts the rows of one use where they belong among those of all. @param width numbers of a row */
export function putRows(to: Float32Array, { rows }: Pick<UsePlaces, 'rows'>, own: Float32Array, width: number): void {
  if (rows === null) to.set(own);
  else for (const [i, row] of rows.entries()) to.set(own.subarray(i * width, (i + 1) * width), row * width);
}

/** Spatial size of a convolution's output. */
export function outputSize(layer: Geometry, size: readonly number[]): number[] {
  const rank = layer.kernel.length;
  return layer.kernel.map((k, i) => {
    const padded = (size[i] ?? 0) + (layer.pads[i] ?? 0) + (layer.pads[i + rank] ?? 0);
    return Math.floor((padded - (layer.dilations[i] ?? 1) * (k - 1) - 1) / (layer.strides[i] ?? 1)) + 1;
  });
}

/**
 * The input patches [N, d] of a layer at chosen places: row-major, each row in the order (channel, kz, ky, kx) of
 * the weights. Fully connected layers take rows of their input. Places outside the image are zero, and of a transposed
 * convolution the taps that no input falls on.
 *
 * @param input the layer's input for a batch: [n, C, D, H, W], [n, C, H, W], [n, C, L] or [..., F]
 */
export function samplePatches(input: FloatTensor, layer: Geometry, chosen: ChosenPositions): Float32Array {
  const count = chosen.images.length;
  const result = new Float32Array(count * layer.d);
  if (layer.kernel.length === 0) {
    for (let r = 0; r < count; r++) {
      const row = (chosen.images[r] ?? 0) * layer.positions + (chosen.positions[r] ?? 0);
      checkRow(row, input.data.length / layer.d);
      result.set(input.data.subarray(row * layer.d, (row + 1) * layer.d), r * layer.d);
    }
    return result;
  }
  const [depth, height, width] = threeAxes(input.dims.slice(2), 1);
  const [kd, kh, kw] = threeAxes(layer.kernel, 1);
  const [slices, rows, columns] = [0, 1, 2].map((axis) => tapsAlong(layer, axis, input.dims)) as [Taps, Taps, Taps];
  const outWidth = columns.places;
  const outHeight = rows.places;
  const places = slices.places * outHeight * outWidth;
  for (let r = 0; r < count; r++) {
    const row = (chosen.images[r] ?? 0) * layer.positions + (chosen.positions[r] ?? 0);
    const image = Math.floor(row / places);
    checkRow(image, input.dims[0] ?? 0);
    const place = row % places;
    const z0 = Math.floor(place / (outHeight * outWidth)) * kd;
    const y0 = (Math.floor(place / outWidth) % outHeight) * kh;
    const x0 = (place % outWidth) * kw;
    let to = r * layer.d;
    for (let c = 0; c < layer.channels; c++) {
      const volume = (image * layer.channels + c) * depth;
      for (let kz = 0; kz < kd; kz++) {
        const z = slices.from[z0 + kz];
        if (z < 0) {
          to += kh * kw;
          continue;
        }
        const plane = (volume + z) * height;
        for (let ky = 0; ky < kh; ky++) {
          const y = rows.from[y0 + ky];
          if (y < 0) {
            to += kw;
            continue;
          }
          const from = (plane + y) * width;
          for (let kx = 0; kx < kw; kx++, to++) {
            const x = columns.from[x0 + kx];
            if (x >= 0) result[to] = input.data[from + x];
          }
        }
      }
    }
  }
  return result;
}

/** One or two axes are three axes of which the first ones have size 1. */
const threeAxes = (values: readonly number[], fill: number): [number, number, number] => {
  const [z, y, x] = [...new Array<number>(3 - values.length).fill(fill), ...values];
  return [z ?? fill, y ?? fill, x ?? fill];
};

interface Taps {
  places: number;
  from: Int32Array;
}

/** For every place of the output along an axis of three, and every tap: the place of the input, or -1 where there is none. */
function tapsAlong(layer: Geometry, axis: number, dims: readonly number[]): Taps {
  const along = (values: readonly number[], fill: number): number => threeAxes(values, fill)[axis] ?? fill;
  const size = along(dims.slice(2), 1);
  const taps = along(layer.kernel, 1);
  const stride = along(layer.strides, 1);
  const dilation = along(layer.dilations, 1);
  const begin = along(layer.pads.slice(0, layer.kernel.length), 0);
  const transposed = layer.transposed !== undefined;
  const places = along(transposed ? (layer.outputSize ?? []) : outputSize(layer, dims.slice(2)), 1);
  const from = new Int32Array(places * taps);
  for (let place = 0; place < places; place++)
    for (let tap = 0; tap < taps; tap++) {
      const at = transposed ? (place + begin - tap * dilation) / stride : place * stride - begin + tap * dilation;
      from[place * taps + tap] = Number.isInteger(at) && at >= 0 && at < size ? at : -1;
    }
  return { places, from };
}

/**
 * Values [N, m] of a feature map that has the shape of the layer's output, at chosen places.
 * @param map [n, m, D, H, W], [n, m, H, W], [n, m, L] or [..., m]
 */
function sampleOutputs(
  map: FloatTensor,
  layer: Pick<Layer, 'm' | 'kernel' | 'positions'>,
  chosen: ChosenPositions,
): Float32Array {
  const { m, positions } = layer;
  const count = chosen.images.length;
  const result = new Float32Array(count * m);
  for (let r = 0; r < count; r++) {
    const row = (chosen.images[r] ?? 0) * positions + (chosen.positions[r] ?? 0);
    checkRow(row, map.data.length / m);
    if (layer.kernel.length === 0) {
      result.set(map.data.subarray(row * m, (row + 1) * m), r * m);
      continue;
    }
    // A row counts places of the batch as the map's own images lay them out.
    const places = map.dims.slice(2).reduce((a, b) => a * b, 1);
    const image = Math.floor(row / places);
    for (let c = 0; c < m; c++) result[r * m + c] = map.data[(image * m + c) * places + (row % places)];
  }
  return result;
}

/**
 * What is added to a layer's response at the chosen places of one use, [N, m]: of a branch, and of a bias that the use
 * alone has.
 *
 * @param branch the feature map of the branch, of the shape of the use's output; null: there is none
 * @param shifts of the bias, by use: [m]
 */
export function addedTo(
  { index, layer, chosen }: UsePlaces,
  branch: FloatTensor | null,
  shifts: readonly (Float32Array | null)[],
): Float32Array {
  const { m } = layer;
  const added = branch === null ? new Float32Array(chosen.images.length * m) : sampleOutputs(branch, layer, chosen);
  const shift = shifts[index] ?? null;
  if (shift !== null) for (let i = 0; i < added.length; i++) added[i] = added[i] + shift[i % m];
  return added;
}

function checkRow(row: number, rows: number): void {
  if (!(row >= 0 && row < rows)) throw new RangeError(`sample ${String(row)} of ${String(rows)}`);
}
