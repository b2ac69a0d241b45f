import { matrix, type Engine } from '../../engines/index.js';
import type { LayerProblem } from '../problem.js';
import { seededRandom } from '../linalg/random.js';

/** Rows that are added at most: with the 25,088 inputs of VGG-16's first fully connected layer these are 100 MB. */
const MAX_ADDED = 1024;
/** Samples per output (or input, where these are fewer) that do without. */
const ENOUGH = 2;

/**
 * A fully connected layer has one sample per image. With fewer samples than outputs the covariance of its response has
 * no more directions than samples, and a fit of that rank knows only these few images. Added rows, whose inputs are
 * drawn column by column and independently from the samples and whose target is the original layer's own response,
 * shrink the covariance towards its diagonal (Ledoit and Wolf 2004) and the fit towards the original weights.
 *
 * @returns the problem itself where its samples are enough
 */
export async function withAddedSamples(engine: Engine, problem: LayerProblem, seed: number): Promise<LayerProblem> {
  const { weights, bias, inputs, channels, taps } = problem;
  const m = bias.length;
  const d = channels * taps;
  const samples = inputs.length / d;
  const wanted = ENOUGH * Math.min(m, d) - samples;
  if (taps > 1 || wanted <= 0 || problem.skip !== undefined) return problem;
  const added = Math.min(wanted, MAX_ADDED);
  const random = seededRandom(seed);
  const all = new Float32Array((samples + added) * d);
  all.set(inputs);
  for (let row = samples; row < samples + added; row++) {
    for (let j = 0; j < d; j++) all[row * d + j] = inputs[Math.floor(random() * samples) * d + j];
  }
  if (problem.target === undefined) return { ...problem, inputs: all };
  const drawn = matrix(added, d, all.subarray(samples * d));
  const response = await engine.multiply(drawn, matrix(m, d, weights), { transposeB: true });
  const target = new Float32Array((samples + added) * m);
  target.set(problem.target);
  for (let i = 0; i < response.data.length; i++) {
    target[samples * m + i] = response.data[i] + bias[i % m];
  }
  return { ...problem, inputs: all, target };
}
