import { SparankError } from '../../errors/index.js';
import { firstNotFinite } from '../../errors/not-finite.js';
import type { LayerProblem } from '../../compression/index.js';

/** Squares of squares of such numbers leave the range of float32. */
const LARGE = 1e9;
const SMALL = 1e-12;

/** The square of a smaller difference is none in float32. */
const ALIKE = 1e-18;

/**
 * What a fit broke down on, or null where an error is none of numbers. Only its layer is at fault: it can stay dense.
 */
export function breakdownOf(error: unknown): string | null {
  return error instanceof SparankError && error.code === 'numerical_breakdown' ? error.message : null;
}

/**
 * The reason that a layer stays dense, as the ledger gives it. @param what broke down, for numbers that are as they
 * should be
 */
export function causeOf(problem: Pick<LayerProblem, 'inputs' | 'weights' | 'bias'>, what: string): string {
  const sizes = (['inputs', 'weights', 'bias'] as const).map((name) => ({ name, size: largest(problem[name]) }));
  const large = sizes.find(({ size }) => size > LARGE);
  if (large !== undefined) return `its ${large.name} reach ${short(large.size)}, too large for a fit in float32`;
  const small = sizes.find(({ name, size }) => size < SMALL && name !== 'bias');
  if (small !== undefined) return `its ${small.name} are at most ${short(small.size)}, too small for a fit in float32`;
  return `its fit broke down: ${what}`;
}

const short = (value: number): string => value.toExponential(1);

function largest(values: Float32Array): number {
  let most = 0;
  for (const value of values) {
    const size = Math.abs(value);
    if (size > most) most = size;
  }
  return most;
}

/** Looks at the samples of a layer as they come, for what leaves nothing to fit. */
export class SampleWatch {
  private first: Float32Array | null = null;
  private varies = false;
  private bad: { image: number; value: number; of: string } | null = null;

  /** @param values rows of `width`; @param images the calibration sample of every row */
  add(of: 'input' | 'skip branch', values: Float32Array, width: number, images: ArrayLike<number>): void {
    if (this.bad === null) {
      const at = firstNotFinite(values);
      if (at !== null) this.bad = { image: images[Math.floor(at / width)] ?? 0, value: values[at], of };
    }
    if (of !== 'input' || this.varies || values.length === 0) return;
    const first = (this.first ??= values.slice(0, width));
    for (let i = 0; i < values.length && !this.varies; i++)
      this.varies = Math.abs(values[i] - first[i % width]) > ALIKE;
  }

  /** Why the layer cannot be fitted, or null. */
  get reason(): string | null {
    if (this.bad !== null)
      return `its ${this.bad.of} has ${numberName(this.bad.value)} for calibration sample ${String(this.bad.image)}`;
    if (this.first === null || this.varies) return null;
    const zero = this.first.every((value) => value === 0);
    return `its inputs are ${zero ? 'zero' : `the same (within ${String(ALIKE)})`} for all calibration samples`;
  }
}

export const numberName = (value: number): string => (Number.isNaN(value) ? 'a NaN' : 'an infinity');
