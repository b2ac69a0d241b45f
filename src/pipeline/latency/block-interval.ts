import { mean, quantile, type PairedLatency } from './latency.js';

/**
 * How often the interval is to hold the ratio. Of single runs an interval would say little: runs that follow one
 * another share the sessions' place in memory, the threads' place on the cores, and what else the machine does at the
 * time. A block is one draw of all that, so the blocks are what is counted.
 */
const TWO_SIDED_95 = [NaN, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
const NORMAL_95 = 1.96;
/** Of the blocks, left out at either end: a block in which the machine was taken away says nothing of the networks. */
const TRIMMED = 0.2;
/** Blocks that follow one another are alike. As measured on a busy machine; see the test. */
const MOST_ALIKE = 0.6;

export interface Speedup {
  ratio: number;
  /** Holds the ratio that equal jobs find in the median, in 95 of 100 cases. */
  ci95: [number, number];
}

/**
 * Speedup of `after` over `before` from blocks of runs in turn: the trimmed mean of the logarithms of the blocks'
 * ratios of medians, with the t interval for it from their winsorized variance (Tukey and McLaughlin 1963).
 */
export function speedupOfBlocks(blocks: readonly PairedLatency[]): Speedup {
  const logs = blocks.map(({ before, after }) => Math.log(quantile(before, 0.5) / quantile(after, 0.5)));
  const { center, halfWidth } = trimmedInterval(logs);
  return {
    ratio: Math.exp(center),
    ci95: [Math.exp(center - halfWidth), Math.exp(center + halfWidth)],
  };
}

function trimmedInterval(values: readonly number[]): { center: number; halfWidth: number } {
  const n = values.length;
  const cut = Math.floor(TRIMMED * n);
  const sorted = [...values].sort((a, b) => a - b);
  const kept = sorted.slice(cut, n - cut);
  const center = mean(kept);
  const least = kept[0] ?? center;
  const most = kept.at(-1) ?? center;
  const winsorized = values.map((value) => Math.min(most, Math.max(least, value)));
  const middle = mean(winsorized);
  const squares = winsorized.map((value) => (value - middle) ** 2);
  const variance = squares.reduce((sum, x) => sum + x, 0) / (n - 1);
  const freedom = kept.length - 1;
  const alike = Math.min(MOST_ALIKE, Math.max(0, correlationOfNeighbours(winsorized, middle)));
  // The variance of the mean of an autoregressive series is (1 + r) / (1 - r) times that of independent values.
  const inflated = (variance * (1 + alike)) / (1 - alike);
  const error = Math.sqrt(inflated) / ((1 - (2 * cut) / n) * Math.sqrt(n));
  return { center, halfWidth: (TWO_SIDED_95[freedom] ?? NORMAL_95 * (1 + 1.2 / freedom)) * error };
}

function correlationOfNeighbours(values: readonly number[], middle: number): number {
  let [products, squares] = [0, 0];
  for (const [i, value] of values.entries()) {
    squares += (value - middle) ** 2;
    products += (value - middle) * ((values[i + 1] ?? middle) - middle);
  }
  return squares === 0 ? 0 : products / squares;
}
