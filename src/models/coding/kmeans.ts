export interface Codebook {
  /** [k, width], ascending in the first coordinate. */
  centroids: Float32Array;
  /** One per vector. */
  indices: Uint8Array;
}

export interface KMeansOptions {
  /** 1 to 256. */
  k: number;
  /** Coordinates of a vector. */
  width: number;
  /** Uniform in [0, 1). */
  random: () => number;
  /** Lloyd iterations at most. */
  iterations?: number;
  /** Vectors that the centroids are found on, evenly spaced; all are assigned in the end. */
  trainOn?: number;
}

/**
 * k-means with a weight for every coordinate: minimises sum_i sum_e a_ie (x_ie - c_ie)^2. Seeding by k-means++ (Arthur
 * and Vassilvitskii 2007), then Lloyd's iteration (1982); a centroid without vectors goes where the loss is largest.
 *
 * @param values [n, width], n at least 1
 * @param weights [n, width], positive
 */
export function kMeans(values: Float32Array, weights: Float32Array, options: KMeansOptions): Codebook {
  const { k, width, iterations = 25, trainOn = 1 << 17 } = options;
  if (!(k >= 1 && k <= 256) || values.length % width !== 0 || values.length === 0 || weights.length !== values.length)
    throw new RangeError(`${String(values.length)} values, ${String(width)} to a vector, for ${String(k)} centroids`);
  const sample = evenly({ values, weights, width }, trainOn);
  let centroids = sorted(seeds(sample, k, options.random), width);
  for (let round = 0; round < iterations; round++) {
    const moved = step(sample, centroids);
    const next = sorted(moved, width);
    if (next.every((value, i) => value === centroids[i])) break;
    centroids = next;
  }
  return { centroids, indices: assign({ values, weights, width }, centroids).indices };
}

interface Vectors {
  values: Float32Array;
  weights: Float32Array;
  width: number;
}

function evenly({ values, weights, width }: Vectors, most: number): Vectors {
  const count = values.length / width;
  if (count <= most) return { values, weights, width };
  const pick = (from: Float32Array) => {
    const result = new Float32Array(most * width);
    for (let i = 0; i < most; i++) {
      const at = Math.floor((i * count) / most) * width;
      result.set(from.subarray(at, at + width), i * width);
    }
    return result;
  };
  return { values: pick(values), weights: pick(weights), width };
}

function seeds(vectors: Vectors, k: number, random: () => number): Float32Array {
  const { values, width } = vectors;
  const count = values.length / width;
  const centroids = new Float32Array(k * width);
  const nearest = new Float64Array(count).fill(Infinity);
  let chosen = Math.floor(random() * count);
  for (let c = 0; c < k; c++) {
    centroids.set(values.subarray(chosen * width, (chosen + 1) * width), c * width);
    let total = 0;
    for (let i = 0; i < count; i++) {
      const distance = Math.min(nearest[i], distanceTo(vectors, i, centroids, c));
      nearest[i] = distance;
      total += distance;
    }
    let left = random() * total;
    chosen = 0;
    // The last with any distance stands in when rounding leaves a rest.
    for (let i = 0; i < count; i++) {
      const distance = nearest[i];
      if (distance === 0) continue;
      chosen = i;
      left -= distance;
      if (left < 0) break;
    }
  }
  return centroids;
}

function distanceTo({ values, weights, width }: Vectors, i: number, centroids: Float32Array, c: number): number {
  let sum = 0;
  for (let e = 0; e < width; e++) {
    const difference = values[i * width + e] - centroids[c * width + e];
    sum += weights[i * width + e] * difference * difference;
  }
  return sum;
}

/**
 * The nearest centroid of every vector. Centroids ascend in their first coordinate: the search goes outwards from there
 * and ends where that coordinate alone is too far away.
 */
export function assign(vectors: Vectors, centroids: Float32Array): { indices: Uint8Array; losses: Float64Array } {
  const { values, weights, width } = vectors;
  const count = values.length / width;
  const k = centroids.length / width;
  const indices = new Uint8Array(count);
  const losses = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const first = values[i * width];
    const weight = weights[i * width];
    let low = 0;
    let high = k;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (centroids[middle * width] < first) low = middle + 1;
      else high = middle;
    }
    let best = Infinity;
    let at = 0;
    for (let up = low, down = low - 1; up < k || down >= 0;) {
      // Whichever side is done leaves its bounds.
      if (up < k) {
        const step = centroids[up * width] - first;
        if (weight * step * step >= best) up = k;
        else {
          const distance = distanceTo(vectors, i, centroids, up);
          if (distance < best) {
            best = distance;
            at = up;
          }
          up += 1;
        }
      }
      if (down >= 0) {
        const step = centroids[down * width] - first;
        if (weight * step * step >= best) down = -1;
        else {
          const distance = distanceTo(vectors, i, centroids, down);
          if (distance < best) {
            best = distance;
            at = down;
          }
          down -= 1;
        }
      }
    }
    indices[i] = at;
    losses[i] = best;
  }
  return { indices, losses };
}

/** For every vector the place of the one that is nearest to it in a table of at most 256, which may be in any order. */
export function nearestVectors(values: Float32Array, table: Float32Array, width: number): Uint8Array {
  const order = ascending(table, width);
  const weights = new Float32Array(values.length).fill(1);
  const { indices } = assign({ values, weights, width }, inOrder(table, order, width));
  return indices.map((place) => order[place]);
}

/** Every centroid as the mean of the vectors that are nearest to it. */
function step(vectors: Vectors, centroids: Float32Array): Float32Array {
  const { values, weights, width } = vectors;
  const k = centroids.length / width;
  const { indices, losses } = assign(vectors, centroids);
  const sums = new Float64Array(centroids.length);
  const totals = new Float64Array(centroids.length);
  const members = new Uint32Array(k);
  for (let i = 0; i < indices.length; i++) {
    const c = indices[i];
    members[c] = members[c] + 1;
    for (let e = 0; e < width; e++) {
      const weight = weights[i * width + e];
      sums[c * width + e] = sums[c * width + e] + weight * values[i * width + e];
      totals[c * width + e] = totals[c * width + e] + weight;
    }
  }
  const next = Float32Array.from(sums, (sum, i) => (totals[i] > 0 ? sum / totals[i] : centroids[i]));
  for (let c = 0; c < k; c++) {
    if (members[c] > 0) continue;
    let worst = 0;
    for (let i = 1; i < losses.length; i++) if (losses[i] > losses[worst]) worst = i;
    if (losses[worst] === 0) break;
    losses[worst] = 0;
    next.set(values.subarray(worst * width, (worst + 1) * width), c * width);
  }
  return next;
}

const sorted = (centroids: Float32Array, width: number): Float32Array =>
  inOrder(centroids, ascending(centroids, width), width);

const ascending = (centroids: Float32Array, width: number): number[] =>
  Array.from({ length: centroids.length / width }, (_, c) => c).sort(
    (a, b) => centroids[a * width] - centroids[b * width] || a - b,
  );

function inOrder(centroids: Float32Array, order: readonly number[], width: number): Float32Array {
  const result = new Float32Array(centroids.length);
  order.forEach((from, to) => result.set(centroids.subarray(from * width, (from + 1) * width), to * width));
  return result;
}
