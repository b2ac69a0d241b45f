/** Decay of the running mean of gradients. */
const MOMENTUM = 0.95;
/** Root mean square of a step at rate 1, in units of the weights' size: about what Adam's steps come to. */
const STEP = 0.4;

/**
 * What Muon keeps of one matrix of weights (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"): a running mean of its
 * gradients, of which not the size but the directions count. A step is the nearest matrix with orthonormal rows or columns, so that
 * directions with small gradients are followed as far as those with large ones. That matrix is found outside, where products are fast.
 */
export class MuonState {
  private readonly mean: Float32Array;
  private readonly scale: number;

  /**
   * @param weights changed in place by `step`. Weights that are exactly 0 stay so: a pattern of zeros is kept.
   * @param size rows x columns of the weights
   * @param scale size of the step at rate 1, in units of the weights
   */
  constructor(
    readonly weights: Float32Array,
    [rows, columns]: readonly [rows: number, columns: number],
    scale: number,
  ) {
    if (weights.length !== rows * columns)
      throw new RangeError(`${String(weights.length)} weights are not ${String(rows)} x ${String(columns)}`);
    this.mean = new Float32Array(weights.length);
    // Orthonormal rows or columns have a mean square of one over the longer side.
    this.scale = STEP * scale * Math.sqrt(Math.max(rows, columns));
  }

  /**
   * Takes a gradient in and looks a step ahead, as Nesterov's momentum does.
   * @param gradient of the length of the weights
   * @returns what is to be made orthonormal, with a Frobenius norm of 1 (0 where every gradient was)
   */
  direction(gradient: Float32Array): Float32Array {
    const { mean, weights } = this;
    if (gradient.length !== weights.length)
      throw new RangeError(`a gradient of ${String(gradient.length)} for ${String(weights.length)} weights`);
    const ahead = new Float32Array(gradient.length);
    let squares = 0;
    for (let i = 0; i < gradient.length; i++) {
      const g = weights[i] === 0 ? 0 : gradient[i];
      const m = MOMENTUM * mean[i] + (1 - MOMENTUM) * g;
      mean[i] = m;
      const a = MOMENTUM * m + (1 - MOMENTUM) * g;
      ahead[i] = a;
      squares += a * a;
    }
    const factor = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let i = 0; i < ahead.length; i++) ahead[i] = ahead[i] * factor;
    return ahead;
  }

  /** @param orthonormal the matrix that belongs to the last `direction` */
  step(orthonormal: Float32Array, rate: number): void {
    const { weights } = this;
    const size = rate * this.scale;
    for (let i = 0; i < weights.length; i++) {
      const w = weights[i];
      if (w !== 0) weights[i] = w - size * orthonormal[i];
    }
  }
}
