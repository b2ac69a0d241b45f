import type { Tensor } from '../models/index.js';
import { floats } from './network-pass.js';

/** Accumulates how far outputs of a changed network lie from the original's, batch by batch. */
export class OutputError {
  private squares = 0;
  private sum = 0;
  private total = 0;
  private count = 0;
  private agreeing = 0;
  private rows = 0;

  /** Both [n, ...]; the last axis holds the classes when there are two axes or more. */
  add(original: Tensor, changed: Tensor): void {
    const a = floats(original);
    const b = floats(changed);
    for (let i = 0; i < a.length; i++) {
      const x = a[i] ?? 0;
      const difference = x - (b[i] ?? 0);
      this.squares += difference * difference;
      this.total += x * x;
      this.sum += x;
    }
    this.count += a.length;
    const classes = original.dims.at(-1) ?? 1;
    if (original.dims.length < 2 || classes < 2) return;
    const predictedA = argmaxRows(a, classes);
    const predictedB = argmaxRows(b, classes);
    this.rows += predictedA.length;
    for (let i = 0; i < predictedA.length; i++) if (predictedA[i] === predictedB[i]) this.agreeing += 1;
  }

  /** Squared difference over the original's variance. */
  get relative(): number {
    const variance = this.total - (this.sum * this.sum) / Math.max(1, this.count);
    return this.squares === 0 ? 0 : this.squares / Math.max(variance, Number.MIN_VALUE);
  }

  /** Share of rows with the same largest entry, or null for outputs without classes. */
  get agreement(): number | null {
    return this.rows === 0 ? null : this.agreeing / this.rows;
  }
}

/** Index of the largest entry of every row of `classes` values. */
export function argmaxRows(values: Float32Array, classes: number): Uint32Array {
  const result = new Uint32Array(values.length / classes);
  for (let r = 0; r < result.length; r++) {
    let best = r * classes;
    for (let i = best + 1; i < (r + 1) * classes; i++) if ((values[i] ?? 0) > (values[best] ?? 0)) best = i;
    result[r] = best - r * classes;
  }
  return result;
}
