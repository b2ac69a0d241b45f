import type { FloatTensor, Parts, Tensor } from '../../../models/index.js';
import { inflationOfNeighbours, studentT95, wilson, type Interval } from '../intervals.js';
import { floats } from '../network-pass.js';
import { Agreement, OutputError, relativeOf, spreadOf, spreadWithin, type Sums } from './output-error.js';

/** More groups of samples would tell nothing more of the uncertainty. */
const MOST_GROUPS = 2000;

/** Samples of a batch, as their numbers. */
export interface Range {
  begin: number;
  end: number;
}

/**
 * Error and agreement of a network's outputs with the 95 % intervals that follow from how samples differ. Each sample is one
 * draw, or, of very many, each group of neighbours.
 */
export class SampledFidelity {
  private readonly errors: OutputError[];
  private readonly agreements: Agreement[];

  /**
   * @param count of all samples
   * @param options parts of outputs that are concatenations; the axis of the samples, of outputs that have them elsewhere
   *   than in front
   */
  constructor(
    private readonly count: number,
    private readonly options: { parts: ReadonlyMap<string, Parts>; axes: ReadonlyMap<string, number> },
  ) {
    const groups = Math.max(1, Math.min(count, MOST_GROUPS));
    this.errors = Array.from({ length: groups }, () => new OutputError(options.parts));
    this.agreements = Array.from({ length: groups }, () => new Agreement());
  }

  /** @param isAnswer whether the output's last axis holds classes; isCompared: whether its difference counts */
  add(
    name: string,
    [original, changed]: readonly [Tensor, Tensor],
    range: Range,
    { isAnswer, isCompared }: { isAnswer: boolean; isCompared: boolean },
  ): void {
    const axis = this.options.axes.get(name) ?? 0;
    const [before, after] = [original, changed].map((tensor) => bySample(tensor, axis, range.end - range.begin));
    for (const [i, one] of (before ?? []).entries()) {
      const other = after?.[i];
      if (other === undefined) continue;
      const group = Math.floor(((range.begin + i) * this.errors.length) / this.count);
      if (isCompared) this.errors[group]?.add(name, one, other);
      if (isAnswer) this.agreements[group]?.add(one, other);
    }
  }

  /** As `fidelity` of a report. An interval is left out where there are not two samples to differ. */
  get fidelity(): {
    top1_agreement: number | null;
    top1_agreement_ci95?: Interval;
    relative_error: number;
    relative_error_ci95?: Interval;
    samples: number;
  } {
    const { error, interval } = errorOf(this.errors.map((group) => group.sums).filter((sums) => sums.size > 0));
    const rows = this.agreements.filter((group) => group.rows > 0);
    const share = shareOf(rows);
    return {
      top1_agreement: share?.share ?? null,
      ...(share === null ? {} : { top1_agreement_ci95: share.interval }),
      relative_error: error,
      ...(interval === null ? {} : { relative_error_ci95: interval }),
      samples: this.count,
    };
  }
}

/**
 * The axis of the samples in every tensor: the first one, or, where that has another size, the one that is as long as the
 * batch. @param rows samples of the batch; of two or more they tell
 */
export const sampleAxes = (values: ReadonlyMap<string, Tensor>, rows: number): Map<string, number> =>
  new Map([...values].map(([name, { dims }]) => [name, Math.max(0, dims.indexOf(rows))]));

/**
 * The parts of a batch that belong to its samples. A tensor whose axis does not divide into so many belongs to all of them: it
 * stays whole, as of the first.
 */
function bySample(tensor: Tensor, axis: number, samples: number): FloatTensor[] {
  const data = floats(tensor);
  const { dims } = tensor;
  const size = dims[axis] ?? 1;
  if (samples < 2 || size === 0 || size % samples !== 0) return [{ dims: [...dims], data }];
  const [own, inner] = [size / samples, product(dims.slice(axis + 1))];
  const outer = product(dims.slice(0, axis));
  const ownDims = dims.map((dim, i) => (i === axis ? own : dim));
  return Array.from({ length: samples }, (_, i) => {
    const [begin, length] = [i * own * inner, own * inner];
    if (outer === 1) return { dims: ownDims, data: data.subarray(begin, begin + length) };
    const part = new Float32Array(outer * length);
    for (let o = 0; o < outer; o++) {
      const from = o * size * inner + begin;
      part.set(data.subarray(from, from + length), o * length);
    }
    return { dims: ownDims, data: part };
  });
}

const product = (dims: readonly number[]): number => dims.reduce((all, dim) => all * dim, 1);

/**
 * Root of the relative error of all groups together. Its interval is that of a mean of ratios of sums by the delta method, on
 * the logarithm, since errors of samples are skewed: a few of them make most of it.
 */
function errorOf(groups: readonly ReadonlyMap<string, Sums>[]): { error: number; interval: Interval | null } {
  const total = new Map<string, Sums>();
  for (const sums of groups) {
    for (const [key, { squares, sum, total: all, count }] of sums) {
      const to = total.get(key) ?? { squares: 0, sum: 0, total: 0, count: 0 };
      total.set(key, {
        ...{ squares: to.squares + squares, sum: to.sum + sum, total: to.total + all, count: to.count + count },
      });
    }
  }
  const outputs = Math.max(1, total.size);
  const relative = [...total.values()].reduce((sum, output) => sum + relativeOf(output), 0) / outputs;
  const error = Math.sqrt(relative);
  const n = groups.length;
  if (n < 2) return { error, interval: null };
  if (relative === 0) return { error, interval: [0, 0] };
  // What each group adds to the logarithm of the relative error, times n.
  const influences = groups.map((sums) => {
    let influence = 0;
    for (const [key, whole] of total) {
      const own = sums.get(key);
      if (own === undefined) continue;
      influence += (own.squares - relativeOf(whole) * spreadWithin(own, whole)) / spreadOf(whole);
    }
    return (n * influence) / (outputs * relative);
  });
  const variance = influences.reduce((sum, x) => sum + x * x, 0) / (n * (n - 1));
  // Half, because of the root.
  const half = 0.5 * studentT95(freedomOf(influences)) * Math.sqrt(variance * inflationOfNeighbours(influences, 0));
  return { error, interval: [error * Math.exp(-half), error * Math.exp(half)] };
}

/**
 * Degrees of freedom of the variance of values around 0. Where a few of them make most of it, it is known as badly as from a few:
 * a sample variance varies with the fourth moment, as one of so many normal values would (Satterthwaite 1946).
 */
function freedomOf(values: readonly number[]): number {
  const n = values.length;
  const moment = (power: number) => values.reduce((sum, x) => sum + x ** power, 0) / n;
  const kurtosis = moment(4) / moment(2) ** 2;
  return Math.max(1, Math.min(n - 1, Math.round((2 * n) / Math.max(kurtosis - 1, 2 / n))));
}

/**
 * Wilson's interval counts independent answers. Answers of one sample are alike, and so are neighbours: so many independent
 * ones would differ as the samples' shares do. Where none differs, each sample counts as one.
 */
function shareOf(groups: readonly Agreement[]): { share: number; interval: Interval } | null {
  const n = groups.length;
  const rows = groups.reduce((sum, group) => sum + group.rows, 0);
  if (rows === 0) return null;
  const share = groups.reduce((sum, group) => sum + group.agreeing, 0) / rows;
  const influences = groups.map((group) => (n * (group.agreeing - share * group.rows)) / rows);
  const squares = influences.reduce((sum, x) => sum + x * x, 0);
  const variance = (squares * inflationOfNeighbours(influences, 0)) / (n * n);
  const independent = variance === 0 ? n : Math.min(rows, (share * (1 - share)) / variance);
  return { share, interval: wilson(share, independent) };
}
