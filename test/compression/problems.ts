import type { LayerProblem } from '../../src/compression/index.js';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';
import type { Activation } from '../../src/models/activation.js';

export interface RandomLayer {
  m: number;
  channels: number;
  taps: number;
  samples: number;
  seed: number;
  activation?: Activation;
}

function product(a: Float32Array, b: Float32Array, rows: number, inner: number, cols: number): Float32Array {
  const out = new Float32Array(rows * cols);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += (a[i * inner + k] ?? NaN) * (b[k * cols + j] ?? NaN);
      out[i * cols + j] = sum;
    }
  }
  return out;
}

/** Correlated non-negative inputs, like those after a ReLU, and weights with a decaying spectrum. */
export function randomLayer({
  m,
  channels,
  taps,
  samples,
  seed,
  activation = { kind: 'relu' },
}: RandomLayer): LayerProblem {
  const random = seededRandom(seed);
  const d = channels * taps;
  const hidden = Math.max(4, Math.ceil(d / 3));
  const mixing = normals(hidden * d, random);
  const inputs = product(normals(samples * hidden, random), mixing, samples, hidden, d);
  const noise = normals(samples * d, random);
  for (let i = 0; i < inputs.length; i++)
    inputs[i] = Math.max(0, (inputs[i] ?? NaN) / Math.sqrt(hidden) + 0.3 * (noise[i] ?? NaN));
  const weights = normals(m * d, random).map((x) => x / Math.sqrt(d));
  return { weights, bias: normals(m, random).map((x) => 0.2 * x), inputs, channels, taps, activation };
}

/** W0 = (rank r) + (weights on the given channels only). */
export function plantedLayer(layer: RandomLayer, rank: number, planted: readonly number[]): LayerProblem {
  const problem = randomLayer(layer);
  const random = seededRandom(layer.seed + 1);
  const { m, channels, taps } = layer;
  const d = channels * taps;
  const weights = product(normals(m * rank, random), normals(rank * d, random), m, rank, d).map(
    (x) => x / Math.sqrt(rank * d),
  );
  for (const channel of planted) {
    for (let i = 0; i < m; i++) {
      for (let t = 0; t < taps; t++) {
        const at = i * d + channel * taps + t;
        weights[at] = (weights[at] ?? NaN) + ((random() - 0.5) * 4) / Math.sqrt(taps);
      }
    }
  }
  return { ...problem, weights };
}

/** W0 that sees only `inner` combinations of its channels at every tap, and whose response has rank `rank`. */
export function plantedTucker(layer: RandomLayer, inner: number, rank: number): LayerProblem {
  const problem = randomLayer(layer);
  const random = seededRandom(layer.seed + 1);
  const { m, channels, taps } = layer;
  const basis = normals(inner * channels, random);
  const core = product(normals(m * rank, random), normals(rank * inner * taps, random), m, rank, inner * taps);
  const weights = new Float32Array(m * channels * taps);
  for (let i = 0; i < m; i++) {
    for (let c = 0; c < channels; c++) {
      for (let t = 0; t < taps; t++) {
        let sum = 0;
        for (let r = 0; r < inner; r++)
          sum += (core[(i * inner + r) * taps + t] ?? NaN) * (basis[r * channels + c] ?? NaN);
        weights[(i * channels + c) * taps + t] = sum / Math.sqrt(inner * rank * channels * taps);
      }
    }
  }
  return { ...problem, weights };
}
