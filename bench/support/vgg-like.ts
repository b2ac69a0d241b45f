import type { LayerProblem } from '../../src/compression/index.js';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';

export interface LayerShape {
  m: number;
  channels: number;
  taps: number;
  samples: number;
  rank: number;
}

export const CONVOLUTIONS: readonly LayerShape[] = [
  { m: 64, channels: 64, taps: 9, samples: 5000, rank: 16 },
  { m: 128, channels: 128, taps: 9, samples: 5000, rank: 32 },
  { m: 256, channels: 256, taps: 9, samples: 5000, rank: 64 },
  { m: 512, channels: 512, taps: 9, samples: 5000, rank: 64 },
];

/** A layer with synthetic inputs: taps of a channel are alike and half of the activations are zero, as after a ReLU. */
export function problemOf({ m, channels, taps, samples }: LayerShape): LayerProblem {
  const random = seededRandom(m);
  const d = channels * taps;
  const inputs = new Float32Array(samples * d);
  for (let r = 0; r < samples; r++) {
    for (let c = 0; c < channels; c++) {
      const base = 2 * random() - 1;
      for (let t = 0; t < taps; t++) inputs[r * d + c * taps + t] = Math.max(0, base + 0.5 * (random() - 0.5));
    }
  }
  const weights = normals(m * d, random).map((x) => x / Math.sqrt(d));
  return { weights, bias: new Float32Array(m), inputs, channels, taps, activation: { kind: 'relu' } };
}
