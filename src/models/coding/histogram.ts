import type { Range } from './affine.js';

/** Bins over [-limit, limit). */
const BINS = 4096;
/**
 * Shares of the largest value that are tried as the largest that can be told, on both sides of zero: 1 down to a
 * twentieth.
 */
const CLIPS = Array.from({ length: 96 }, (_, i) => 1 - i / 100);
/** Values of one call that are counted at most, evenly spaced; the extremes are those of all. */
const COUNTED = 1 << 18;

/**
 * How often values occur, in bounded memory and one pass: the bins are merged in pairs whenever a value lies outside.
 * The same values in the same order give the same histogram.
 */
export class Histogram {
  low = Infinity;
  high = -Infinity;
  /** Whether all values were finite so far. */
  finite = true;
  private limit = 0;
  /** Of values other than zero, which is exact in any range. */
  private readonly counts = new Float64Array(BINS);

  add(values: Float32Array): void {
    let { low, high } = this;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value < low) low = value;
      if (value > high) high = value;
      if (Number.isNaN(value)) this.finite = false;
    }
    this.low = low;
    this.high = high;
    const largest = Math.max(-low, high);
    if (!Number.isFinite(largest)) this.finite &&= values.length === 0;
    if (!this.finite || !(largest > 0)) return;
    this.reach(largest);
    const stride = Math.ceil(values.length / COUNTED);
    const perBin = BINS / 2 / this.limit;
    for (let i = 0; i < values.length; i += stride) {
      const value = values[i];
      if (value === 0) continue;
      const bin = Math.min(BINS - 1, Math.floor(value * perBin + BINS / 2));
      this.counts[bin] = this.counts[bin] + 1;
    }
  }

  /** A power of two, so that bins merge exactly. */
  private reach(largest: number): void {
    if (this.limit === 0) this.limit = 2 ** Math.ceil(Math.log2(largest));
    while (this.limit < largest) {
      this.limit *= 2;
      const merged = new Float64Array(BINS);
      for (const [bin, count] of this.counts.entries()) {
        const into = BINS / 4 + (bin >> 1);
        merged[into] = merged[into] + count;
      }
      this.counts.set(merged);
    }
  }

  /** From the smallest to the largest value; nothing when there were none, or some that are not finite. */
  get range(): Range | null {
    return this.finite && this.low <= this.high ? { low: Math.min(0, this.low), high: Math.max(0, this.high) } : null;
  }

  /**
   * The part of the range whose 255 steps lose least: expected squared error of rounding (a twelfth of a squared step,
   * Bennett 1948) for what lies inside, and of the limit for what lies outside.
   */
  bestRange(): Range | null {
    const whole = this.range;
    if (whole === null) return null;
    const largest = Math.max(-whole.low, whole.high);
    let best = whole;
    let least = Infinity;
    for (const clip of CLIPS) {
      const tried = { low: Math.max(whole.low, -largest * clip), high: Math.min(whole.high, largest * clip) };
      const loss = this.loss(tried);
      if (loss >= least) continue;
      least = loss;
      best = tried;
    }
    return best;
  }

  /**
   * The part of the range that holds a share of all values other than zero: what lies outside may be a freak of a
   * single image.
   */
  rangeOf(share: number): Range | null {
    const whole = this.range;
    if (whole === null) return null;
    const wanted = share * this.counts.reduce((a, b) => a + b, 0);
    let counted = 0;
    let bins = 0;
    while (bins < BINS / 2 && counted < wanted) {
      counted += this.counts[BINS / 2 + bins] + this.counts[BINS / 2 - 1 - bins];
      bins += 1;
    }
    const largest = (bins * 2 * this.limit) / BINS;
    return { low: Math.max(whole.low, -largest), high: Math.min(whole.high, largest) };
  }

  private loss({ low, high }: Range): number {
    const width = (2 * this.limit) / BINS;
    const rounding = ((high - low) / 255) ** 2 / 12;
    let sum = 0;
    for (let bin = 0; bin < BINS; bin++) {
      const count = this.counts[bin];
      if (count === 0) continue;
      const value = (bin + 0.5) * width - this.limit;
      const outside = Math.max(low - value, value - high, 0);
      // The outermost values lie in bins whose middle may be just outside.
      sum += count * (outside > width / 2 ? outside * outside : rounding);
    }
    return sum;
  }
}
