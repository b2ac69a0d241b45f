import type { Samples } from '../../../datasets/index.js';
import type { Tensor } from '../../../datasets/tensor.js';

/** What samples of a kind of data may be changed by without becoming something else. */
export type Variation = 'mirrored' | 'shifted' | 'mixed';

/** Of an axis, a shift goes this far at most. */
const SHIFT = 1 / 8;
/** Shorter axes have no neighbours to speak of. */
const SHORTEST_IMAGE = 8;
const SHORTEST_SIGNAL = 64;
const MOST_COLOURS = 4;

/** The axes of [n, ...] along which neighbours belong together, the last of them from left to right. */
export type Axes = readonly [number, number] | readonly [number];

/**
 * Images [n, c, h, w] or [n, h, w, c] of one to four channels, films and volumes of them ([n, c, d, h, w] or [n, d, h, w, c]:
 * every image of one alike), signals [n, l], [n, c, l] or [n, l, c].
 * @returns null for anything else, of which nothing is known
 */
export function axesOf({ dims }: Pick<Tensor, 'dims'>): Axes | null {
  const [, a = 0, b = 0, c = 0, d = 0] = dims;
  if (dims.length === 5) {
    if (a <= MOST_COLOURS && Math.min(c, d) >= SHORTEST_IMAGE) return [3, 4];
    return d <= MOST_COLOURS && Math.min(b, c) >= SHORTEST_IMAGE ? [2, 3] : null;
  }
  if (dims.length === 4) {
    if (a <= MOST_COLOURS && Math.min(b, c) >= SHORTEST_IMAGE) return [2, 3];
    return c <= MOST_COLOURS && Math.min(a, b) >= SHORTEST_IMAGE ? [1, 2] : null;
  }
  if (dims.length === 3) return Math.max(a, b) < SHORTEST_SIGNAL ? null : [b >= a ? 2 : 1];
  return dims.length === 2 && a >= SHORTEST_SIGNAL ? [1] : null;
}

/**
 * The same samples, changed at random: mirrored left to right (half of them), shifted by up to an eighth of each axis
 * with reflected borders, mixed with another one of the batch (half of them; see `mix`). Networks with several inputs get
 * their samples as they are: what belongs together in them is not known.
 *
 * @param samples of one input, [n, ...], which takes floats: whole numbers come back as such
 */
export function varied(samples: Samples, kinds: ReadonlySet<Variation>, random: () => number): Samples {
  const [entry] = samples;
  if (entry === undefined || samples.size > 1 || kinds.size === 0) return samples;
  const [name, tensor] = entry;
  const axes = axesOf(tensor);
  if (axes === null || tensor.data instanceof BigInt64Array || tensor.data instanceof BigUint64Array) return samples;
  const given = tensor.data instanceof Float32Array ? tensor.data : Float32Array.from(tensor.data);
  const rows = tensor.dims[0] ?? 0;
  const data = new Float32Array(given.length);
  const length = data.length / Math.max(1, rows);
  for (let row = 0; row < rows; row++) {
    const places = axes.map((axis, i) => {
      const size = tensor.dims[axis] ?? 1;
      const reach = kinds.has('shifted') ? Math.floor(size * SHIFT) : 0;
      const shift = Math.floor(random() * (2 * reach + 1)) - reach;
      const mirror = i === axes.length - 1 && kinds.has('mirrored') && random() < 0.5;
      return Int32Array.from({ length: size }, (_, at) => reflected((mirror ? size - 1 - at : at) + shift, size));
    });
    const own = given.subarray(row * length, (row + 1) * length);
    const dims = [1, ...tensor.dims.slice(1)];
    move(own, data.subarray(row * length, (row + 1) * length), { dims, axes, places });
  }
  if (kinds.has('mixed')) mix(data, { dims: tensor.dims, axes }, random);
  return new Map([[name, { dims: tensor.dims, data }]]);
}

/** Index `at` of an axis whose borders are mirrors. */
function reflected(at: number, size: number): number {
  if (at < 0) return Math.min(size - 1, -at);
  return at >= size ? Math.max(0, 2 * size - 2 - at) : at;
}

interface Layout {
  dims: readonly number[];
  axes: Axes;
}

/** What a tensor is along its axes: `outer` blocks of `rows` x `columns` places (one row of a signal) with `inner` numbers each. */
function placesOf({ dims, axes }: Layout) {
  const first = axes[0];
  const last = axes.at(-1) ?? first;
  const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);
  return {
    outer: product(dims.slice(0, first)),
    rows: axes.length === 2 ? (dims[first] ?? 1) : 1,
    columns: dims[last] ?? 1,
    inner: product(dims.slice(last + 1)),
  };
}

/** One sample with its places along `axes` taken from elsewhere. */
function move(
  from: Float32Array,
  to: Float32Array,
  { dims, axes, places }: Layout & { places: readonly Int32Array[] },
): void {
  const { outer, rows, columns, inner } = placesOf({ dims, axes });
  const [ofRow, ofColumn] = axes.length === 2 ? places : [Int32Array.of(0), places[0]];
  for (let block = 0, at = 0; block < outer; block++) {
    for (let r = 0; r < rows; r++) {
      const source = (block * rows + (ofRow?.[r] ?? 0)) * columns;
      for (let c = 0; c < columns; c++) {
        const begin = (source + (ofColumn?.[c] ?? 0)) * inner;
        for (let i = 0; i < inner; i++) to[at++] = from[begin + i];
      }
    }
  }
}

/**
 * Half of the samples, each with another one as it was before: every second of them as their weighted mean, the weight uniform in 0..1 (mixup,
 * Zhang et al. 2018, arXiv 1710.09412), the others with a rectangle of that one in their place, of which the area is uniform (CutMix, Yun et al.
 * 2019, arXiv 1905.04899).
 */
function mix(data: Float32Array, { dims, axes }: Layout, random: () => number): void {
  const [samples = 0, ...others] = dims;
  if (samples < 2) return;
  const before = data.slice();
  const length = data.length / samples;
  for (let sample = 0; sample < samples; sample++) {
    if (random() < 0.5) continue;
    const other = (sample + 1 + Math.floor(random() * (samples - 1))) % samples;
    const from = before.subarray(other * length, (other + 1) * length);
    const to = data.subarray(sample * length, (sample + 1) * length);
    if (random() < 0.5) splice(from, to, { dims: [1, ...others], axes }, random);
    else {
      const weight = random();
      for (let i = 0; i < length; i++) to[i] = to[i] + weight * (from[i] - to[i]);
    }
  }
}

function splice(from: Float32Array, to: Float32Array, layout: Layout, random: () => number): void {
  const { outer, rows, columns, inner } = placesOf(layout);
  const side = layout.axes.length === 2 ? Math.sqrt(random()) : random();
  const [height, width] = [rows === 1 ? 1 : Math.round(side * rows), Math.round(side * columns)];
  const top = Math.floor(random() * (rows - height + 1));
  const left = Math.floor(random() * (columns - width + 1));
  for (let block = 0; block < outer; block++)
    for (let row = top; row < top + height; row++) {
      const begin = ((block * rows + row) * columns + left) * inner;
      to.set(from.subarray(begin, begin + width * inner), begin);
    }
}
