/** Decay of the running means of a gradient and of its square (Kingma and Ba 2015, arXiv 1412.6980, section 2). */
const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/** What Adam keeps of one tensor of weights. */
export class AdamState {
  private readonly mean: Float32Array;
  private readonly square: Float32Array;
  private steps = 0;

  /**
   * @param weights changed in place by `step`. Weights that are exactly 0 stay so: a pattern of zeros is kept.
   * @param scale size of the step at rate 1, in units of the weights
   */
  constructor(
    readonly weights: Float32Array,
    private readonly scale: number,
  ) {
    this.mean = new Float32Array(weights.length);
    this.square = new Float32Array(weights.length);
  }

  /** One step of Adam (algorithm 1) against `gradient`, of the length of the weights. */
  step(gradient: Float32Array, rate: number): void {
    const { weights, mean, square } = this;
    if (gradient.length !== weights.length)
      throw new RangeError(`a gradient of ${String(gradient.length)} for ${String(weights.length)} weights`);
    this.steps += 1;
    const size = (rate * this.scale * Math.sqrt(1 - BETA2 ** this.steps)) / (1 - BETA1 ** this.steps);
    for (let i = 0; i < weights.length; i++) {
      const g = gradient[i];
      const m = BETA1 * mean[i] + (1 - BETA1) * g;
      const v = BETA2 * square[i] + (1 - BETA2) * g * g;
      mean[i] = m;
      square[i] = v;
      const w = weights[i];
      if (w !== 0) weights[i] = w - (size * m) / (Math.sqrt(v) + EPSILON);
    }
  }
}
