import { InputError } from '../errors/index.js';
import { firstNotFinite } from '../errors/not-finite.js';
import type { Activation } from '../models/activation.js';
import type { Patch } from '../models/low-rank/index.js';

/**
 * One layer to compress: its weights, and sampled inputs. All matrices are row-major, one sample a row; d = channels *
 * taps, the taps of a channel side by side.
 */
export interface LayerProblem extends Patch {
  /** [m, d] */
  weights: Float32Array;
  /** [m] */
  bias: Float32Array;
  /** [N, d]: what the layer sees in the network that the result will run in. */
  inputs: Float32Array;
  activation: Activation;
  /**
   * [N, m]: the original network's response at these samples before the activation, when `inputs` come from a network
   * that is compressed already (asymmetric). Absent: the layer's own response to `inputs`.
   */
  target?: Float32Array;
  /** [N, m]: what another branch adds to the response before the activation; `target` then is the original's sum. */
  skip?: Float32Array;
  /**
   * [m, m], symmetric: how much errors of the response matter (see output-metric.ts). Absent: each output as much as
   * the other.
   */
  metric?: Float32Array;
  /** The same of errors after the activation. */
  metricAfter?: Float32Array;
}

export interface Shape {
  m: number;
  d: number;
  samples: number;
}

/** @throws {InputError} `numerical_breakdown` */
export function requireFinite(values: Float32Array, what: string): void {
  const at = firstNotFinite(values);
  if (at === null) return;
  throw new InputError('numerical_breakdown', `${what} holds ${String(values[at])} at ${at} of ${values.length}`);
}

/** Sizes of a problem whose arrays fit together and hold finite numbers only. */
export function checkProblem(problem: LayerProblem): Shape {
  const m = problem.bias.length;
  const d = problem.channels * problem.taps;
  const samples = problem.inputs.length / d;
  if (m === 0 || d === 0 || problem.weights.length !== m * d) {
    throw new RangeError(`${problem.weights.length} weights are not ${m} x ${problem.channels} x ${problem.taps}`);
  }
  if (!Number.isInteger(samples) || samples < 2) {
    throw new RangeError(`${problem.inputs.length} input values are not two or more samples of ${d}`);
  }
  if (problem.target !== undefined && problem.target.length !== samples * m) {
    throw new RangeError(`${problem.target.length} target values are not ${samples} x ${m}`);
  }
  if (problem.skip !== undefined && problem.skip.length !== samples * m) {
    throw new RangeError(`${problem.skip.length} values of the skip branch are not ${samples} x ${m}`);
  }
  if (problem.metric !== undefined && problem.metric.length !== m * m) {
    throw new RangeError(`${problem.metric.length} values of the metric are not ${m} x ${m}`);
  }
  requireFinite(problem.weights, 'the weights');
  requireFinite(problem.bias, 'the bias');
  requireFinite(problem.inputs, 'the sampled inputs');
  if (problem.target !== undefined) requireFinite(problem.target, 'the target response');
  if (problem.skip !== undefined) requireFinite(problem.skip, 'the skip branch');
  return { m, d, samples };
}
