import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import type { Activation } from '../../models/activation.js';
import { activationFunction } from '../prox/activation-function.js';
import { unfold } from './tap-basis.js';

/**
 * How much an error e [m] in a layer's response matters to the network's outputs: eᵀ M e. M is the second moment of the
 * gradient of the outputs, on the assumption that it is uncorrelated between places and independent of the activations'
 * slopes (the assumptions of Martens and Grosse 2015, arXiv 1503.05671, section 3, and Grosse and Martens 2016, arXiv
 * 1602.01407): it then follows from the outputs backwards, without any gradient, from weights and the slopes' moments
 * alone.
 */

/**
 * M of the inputs [channels, channels] of a layer with `weights` [m, channels * taps], from M [m, m] of its response:
 * sum over the taps of Wᵀ M W.
 */
export async function behindWeights(
  engine: Engine,
  metric: Matrix,
  weights: Matrix,
  channels: number,
): Promise<Matrix> {
  const split = { outer: channels, taps: weights.cols / channels };
  const weighted = await engine.multiply(metric, weights);
  return engine.multiply(unfold(weights, split), unfold(weighted, split), { transposeA: true });
}

/** E[r'(z) r'(z)ᵀ] [m, m] over samples z [N, m]: what an activation does to M, elementwise. */
export async function slopeMoments(engine: Engine, activation: Activation, z: Matrix): Promise<Matrix> {
  const { slope } = activationFunction(activation);
  const slopes = matrix(z.rows, z.cols, Float32Array.from(z.data, slope));
  const gram = await engine.gram(slopes);
  return matrix(
    z.cols,
    z.cols,
    Float32Array.from(gram, (value) => value / z.rows),
  );
}
