import { inflationOfNeighbours, studentT95 } from '../network/intervals.js';
import { mean, quantile, type PairedLatency } from './latency.js';

/** Of the blocks, left out at either end: a block in which the machine was taken away says nothing of the networks. */
const TRIMMED = 0.2;

export interface Speedup {
  ratio: number;
  /** Holds the ratio that equal jobs find in the median, in 95 of 100 cases. */
  ci95: [number, number];
}

/**
 * Speedup of `after` over `before` from blocks of runs in turn: the trimmed mean of the logarithms of the blocks'
 * ratios of medians, with the t interval for it from their winsorized variance (Tukey and McLaughlin 1963).
 * Of single runs an interval would say little: runs that follow one another share the sessions' place in memory, the
 * threads' place on the cores, and what else the machine does at the time. A block is one draw of all that, so the
 * blocks are what is counted; those that follow one another are alike.
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
  const inflated = variance * inflationOfNeighbours(winsorized, middle);
  const error = Math.sqrt(inflated) / ((1 - (2 * cut) / n) * Math.sqrt(n));
  return { center, halfWidth: studentT95(freedom) * error };
}
