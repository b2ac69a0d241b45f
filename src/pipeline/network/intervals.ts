/** Where 95 of 100 equal measurements lie. */
export type Interval = [low: number, high: number];

/** Of a normal distribution. */
export const NORMAL_95 = 1.96;
const TWO_SIDED_95 = [NaN, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];

/** Student's quantile: half the width of an interval, in standard errors that were estimated with so many degrees of freedom. */
export const studentT95 = (freedom: number): number => TWO_SIDED_95[freedom] ?? NORMAL_95 * (1 + 1.2 / freedom);

/** As measured of speeds on a busy machine; see the test of their intervals. */
const MOST_ALIKE = 0.6;

/**
 * By how much the variance of a mean is larger because values that follow one another are alike: (1 + r) / (1 - r), as of an
 * autoregressive series.
 */
export function inflationOfNeighbours(values: readonly number[], middle: number): number {
  let [products, squares] = [0, 0];
  for (const [i, value] of values.entries()) {
    squares += (value - middle) ** 2;
    products += (value - middle) * ((values[i + 1] ?? middle) - middle);
  }
  const alike = squares === 0 ? 0 : Math.min(MOST_ALIKE, Math.max(0, products / squares));
  return (1 + alike) / (1 - alike);
}

/** Of a binomial share (Wilson 1927): also right near 0 and 1. */
export function wilson(share: number, samples: number): Interval {
  const z2 = NORMAL_95 ** 2 / samples;
  const center = (share + z2 / 2) / (1 + z2);
  const half = (NORMAL_95 / (1 + z2)) * Math.sqrt((share * (1 - share)) / samples + z2 / (4 * samples));
  // At the ends the sums are 0 and 1 up to rounding.
  return [share === 0 ? 0 : Math.max(0, center - half), share === 1 ? 1 : Math.min(1, center + half)];
}
