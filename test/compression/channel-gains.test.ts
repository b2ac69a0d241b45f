import { afterAll, beforeAll, expect, it } from 'vitest';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';
import { channelFactors, channelGains } from '../../src/compression/sparse/select-channels.js';
import type { LayerProblem } from '../../src/compression/problem.js';
import { createEngine, matrix, type Engine } from '../../src/engines/index.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('onnxruntime', { threads: 1 });
});
afterAll(() => engine.dispose());

const [rows, channels, taps, m] = [90, 70, 3, 5];
const random = seededRandom(3);
const inputs = matrix(rows, channels * taps, normals(rows * channels * taps, random));
/** One channel is constant, as behind a dead unit. */
for (let r = 0; r < rows; r++) inputs.data.fill(2, r * inputs.cols + 6, r * inputs.cols + 9);
const residual = matrix(rows, m, normals(rows * m, random));
for (let j = 0; j < m; j++) {
  let mean = 0;
  for (let r = 0; r < rows; r++) mean += (residual.data[r * m + j] ?? 0) / rows;
  for (let r = 0; r < rows; r++) residual.data[r * m + j] = (residual.data[r * m + j] ?? 0) - mean;
}
const problem: LayerProblem = {
  weights: new Float32Array(m * channels * taps),
  bias: new Float32Array(m),
  inputs: inputs.data,
  channels,
  taps,
  activation: { kind: 'relu' },
};

it("factors every channel's centred Gram matrix with its ridge, also behind the first walk over the samples", () => {
  const factors = channelFactors(inputs, problem);
  for (const channel of [0, 31, 32, 69]) {
    const column = (t: number) =>
      Array.from({ length: rows }, (_, r) => inputs.data[r * inputs.cols + channel * taps + t] ?? NaN);
    const centred = Array.from({ length: taps }, (_, t) => {
      const values = column(t);
      const mean = values.reduce((a, b) => a + b, 0) / rows;
      return values.map((v) => v - mean);
    });
    const gram = centred.map((a) => centred.map((b) => a.reduce((sum, v, r) => sum + v * (b[r] ?? NaN), 0)));
    const ridge = (1e-4 * gram.reduce((sum, row, t) => sum + (row[t] ?? NaN), 0)) / taps;
    const l = factors[channel] ?? new Float64Array(0);
    for (let i = 0; i < taps; i++) {
      for (let j = 0; j < taps; j++) {
        let product = 0;
        for (let t = 0; t < taps; t++) product += (l[i * taps + t] ?? NaN) * (l[j * taps + t] ?? NaN);
        expect(product).toBeCloseTo((gram[i]?.[j] ?? NaN) + (i === j ? ridge : 0), 4);
      }
    }
  }
});

it('gives the same gains whatever part of the covariances is held at once, and none to a constant channel', async () => {
  const factors = channelFactors(inputs, problem);
  const whole = await channelGains(engine, residual, { inputs, problem, factors });
  const parts = await channelGains(engine, residual, { inputs, problem, factors }, 4 * m * taps * 16);
  expect(Math.max(...parts.map((gain, c) => Math.abs(gain - (whole[c] ?? NaN))))).toBeLessThan(1e-3);
  expect(Math.min(...whole.filter((_, c) => c !== 2))).toBeGreaterThan(0);
  expect(whole[2]).toBeLessThan(1e-3);
});
