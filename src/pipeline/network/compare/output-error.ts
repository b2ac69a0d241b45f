import type { Parts, Tensor } from '../../../models/index.js';
import { floats } from '../network-pass.js';

/** Of an output, or of a part of it. */
export interface Sums {
  squares: number;
  sum: number;
  total: number;
  count: number;
}

/** Of outputs that are all zero any error is infinitely many times their variance, which no report can hold. */
const MOST = 1e12;
/** A variance below this part of the mean square is that of a constant, up to rounding. */
const CONSTANT = 1e-6;

/**
 * Accumulates how far outputs of a changed network lie from the original's, batch by batch. Every output counts alike,
 * whatever its scale, and every part of one that is a concatenation: the scores of a detector would be nothing beside
 * the coordinates of its boxes.
 */
export class OutputError {
  private readonly outputs = new Map<string, Sums>();

  /**
   * @param names outputs of the network; those that are never added did not change. Default: those that are added.
   * @param parts of outputs that are concatenations
   */
  constructor(
    private readonly parts: ReadonlyMap<string, Parts> = new Map(),
    private readonly names?: readonly string[],
  ) {}

  add(name: string, original: Tensor, changed: Tensor): void {
    const a = floats(original);
    const b = floats(changed);
    const { axis, sizes } = this.parts.get(name) ?? { axis: 0, sizes: [original.dims[0] ?? 1] };
    const inner = original.dims.slice(axis + 1).reduce((product, size) => product * size, 1);
    const width = (original.dims[axis] ?? 1) * inner;
    let begin = 0;
    for (const [part, size] of sizes.entries()) {
      const key = `${name}\n${String(part)}`;
      const sums = this.outputs.get(key) ?? { squares: 0, sum: 0, total: 0, count: 0 };
      this.outputs.set(key, sums);
      for (let row = begin; row < a.length; row += width) addRange(sums, { a, b }, row, row + size * inner);
      begin += size * inner;
    }
  }

  /** Those originals of which there is a changed one. */
  addAll(originals: ReadonlyMap<string, Tensor>, changed: ReadonlyMap<string, Tensor>): void {
    for (const [name, original] of originals) {
      const other = changed.get(name);
      if (other !== undefined) this.add(name, original, other);
    }
  }

  /** By output and part. */
  get sums(): ReadonlyMap<string, Sums> {
    return this.outputs;
  }

  /** Squared difference over the original's variance, the mean of all outputs. */
  get relative(): number {
    let sum = 0;
    for (const output of this.outputs.values()) sum += relativeOf(output);
    const all = this.names?.reduce((count, name) => count + (this.parts.get(name)?.sizes.length ?? 1), 0);
    return sum / Math.max(1, all ?? this.outputs.size);
  }
}

function addRange(sums: Sums, { a, b }: { a: Float32Array; b: Float32Array }, begin: number, end: number): void {
  let [squares, total, sum] = [0, 0, 0];
  for (let i = begin; i < end; i++) {
    const x = a[i];
    const difference = x - b[i];
    squares += difference * difference;
    total += x * x;
    sum += x;
  }
  sums.squares += squares;
  sums.total += total;
  sums.sum += sum;
  sums.count += end - begin;
}

export function relativeOf(sums: Sums): number {
  return sums.squares === 0 ? 0 : Math.min(MOST, sums.squares / spreadOf(sums));
}

/** Sum of the squares about the mean; of a constant, what an error is held against instead. */
export function spreadOf({ sum, total, count }: Sums): number {
  const variance = total - (sum * sum) / Math.max(1, count);
  return Math.max(variance, CONSTANT * total, Number.MIN_VALUE);
}

/** What some of the numbers of `whole` add to its spread. */
export function spreadWithin({ sum, total, count }: Sums, whole: Sums): number {
  const mean = whole.sum / Math.max(1, whole.count);
  const isConstant = whole.total - mean * whole.sum < CONSTANT * whole.total;
  return isConstant ? CONSTANT * total : total - 2 * mean * sum + mean * mean * count;
}

/** Rows of two tensors [n, ..., classes] with the same largest entry. */
export class Agreement {
  agreeing = 0;
  rows = 0;

  add(original: Tensor, changed: Tensor): void {
    const classes = original.dims.at(-1) ?? 1;
    if (original.dims.length < 2 || classes < 2) return;
    const a = argmaxRows(floats(original), classes);
    const b = argmaxRows(floats(changed), classes);
    this.rows += a.length;
    for (let i = 0; i < a.length; i++) if (a[i] === b[i]) this.agreeing += 1;
  }
}

/** Index of the largest entry of every row of `classes` values. */
export function argmaxRows(values: Float32Array, classes: number): Uint32Array {
  const result = new Uint32Array(values.length / classes);
  for (let r = 0; r < result.length; r++) {
    let best = r * classes;
    for (let i = best + 1; i < (r + 1) * classes; i++) if (values[i] > values[best]) best = i;
    result[r] = best - r * classes;
  }
  return result;
}
