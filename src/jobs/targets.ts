import type { Metrics } from './results.js';

/** What a ratio may be asked of. */
export type Cost = 'parameters' | 'nonzeros' | 'macs';

export interface TargetDescription {
  minimum: number;
  maximum: number;
  /**
   * What the ratio is of: it is divided over the layers by their curves alone. Null: networks are built and measured.
   */
  cost: Cost | null;
  /** Whether it needs evaluation data with labels. */
  labels: boolean;
  /** Whether the most compressed network is searched whose outputs are as good as that. */
  quality: boolean;
  /** What it is held against; null where it could not be measured. */
  measured: (metrics: Omit<Metrics, 'seconds'>) => number | null;
  /** Which side of the number that was asked for is good. */
  good: 'more' | 'less';
}

const ratio = { minimum: 1, maximum: 1000, labels: false, quality: false, good: 'more' } as const;
const quality = { minimum: 0, cost: null, labels: false, quality: true } as const;

/** Of all samples and of those that the search did not see. */
function worst(
  good: 'more' | 'less',
  all: number | null | undefined,
  unseen: number | null | undefined,
): number | null {
  if (all === null || all === undefined) return null;
  if (unseen === null || unseen === undefined) return all;
  return good === 'less' ? Math.max(all, unseen) : Math.min(all, unseen);
}

/** The targets there are. How those without a cost are planned is in pipeline/steps/plan/plan.ts, by the same name. */
export const TARGETS = {
  parameter_ratio: { ...ratio, cost: 'parameters', measured: ({ parameters }) => parameters.ratio },
  mac_ratio: { ...ratio, cost: 'macs', measured: ({ macs }) => macs.ratio },
  nonzero_ratio: { ...ratio, cost: 'nonzeros', measured: (of) => (of.nonzeros ?? of.parameters).ratio },
  bytes_ratio: { ...ratio, cost: null, measured: ({ bytes }) => bytes.ratio },
  speedup: { ...ratio, maximum: 100, cost: null, measured: ({ speedup }) => speedup },
  max_accuracy_drop: {
    ...{ ...quality, labels: true, maximum: 1, good: 'less' },
    measured: ({ accuracy, unseen }) => worst('less', accuracy?.drop, unseen?.accuracy?.drop),
  },
  min_agreement: {
    ...{ ...quality, maximum: 1, good: 'more' },
    measured: ({ fidelity, unseen }) => worst('more', fidelity.top1_agreement, unseen?.fidelity.top1_agreement),
  },
  max_relative_error: {
    ...{ ...quality, maximum: 10, good: 'less' },
    measured: ({ fidelity, unseen }) => worst('less', fidelity.relative_error, unseen?.fidelity.relative_error),
  },
} as const satisfies Record<string, TargetDescription>;

export type TargetName = keyof typeof TARGETS;

/** Those that are planned on the network itself. */
export type MeasuredTarget = {
  [Name in TargetName]: (typeof TARGETS)[Name]['cost'] extends null ? Name : never;
}[TargetName];

/** One number, by the name of what it is asked of. */
export type Target = { [Name in TargetName]: Record<Name, number> }[TargetName];

export const targetNames = Object.keys(TARGETS) as TargetName[];

export const targetOf = (name: TargetName): TargetDescription => TARGETS[name];

export const isMeasured = (name: TargetName): name is MeasuredTarget => TARGETS[name].cost === null;

export function wishOf(target: Target): { name: TargetName; asked: number } {
  const given: Partial<Record<TargetName, number>> = target;
  for (const name of targetNames) {
    const asked = given[name];
    if (asked !== undefined) return { name, asked };
  }
  throw new RangeError('a target without a number');
}

/** Batch sizes whose speed counts for a target: a speedup is asked for at the first one. @param sizes of the benchmark */
export const countedBatches = (target: Target, sizes: readonly number[]): readonly number[] =>
  wishOf(target).name === 'speedup' ? sizes.slice(0, 1) : sizes;
