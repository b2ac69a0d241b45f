import type { AllocationLayer } from '../../../compression/index.js';
import { serializeError } from '../../../errors/classify.js';
import { InputError } from '../../../errors/index.js';
import { atTarget, targetsOf } from '../../../jobs/points.js';
import type { LayerRow } from '../../../jobs/results.js';
import type { Assignment, PlannedPoint, PlanResult } from '../../../jobs/tasks.js';
import type { Factors } from '../../../models/index.js';
import type { Curves } from '../../curves/curves.js';
import { finishedOne } from '../../files/finished.js';
import type { StepContext } from '../../step.js';

/** What the plan of one point leaves to the next: it costs time and does not depend on the target. */
export interface PointsShare {
  /** Candidates with the time of each on this worker's runtime. */
  timed: AllocationLayer[] | null;
  /** Linear fits, by layer, rank and groups. */
  fits: Map<string, Factors>;
  /** Accuracy of networks that were tried, by the choice of every layer; null without labels. */
  accuracies: Map<string, number | null>;
}

/** What a target that is planned on the network itself is planned from. */
export interface NetworkPlan {
  curves: Curves;
  tables: readonly AllocationLayer[];
  asked: number;
  shared: PointsShare;
}

type PlanOne = (
  assignment: Assignment,
  context: StepContext,
  shared: PointsShare,
) => Promise<Pick<PlannedPoint, 'allocations' | 'layers'>>;

/**
 * Plans every target by itself from the same curves. A target that cannot be reached costs its own point only, unless there
 * is no other. @throws {InputError} of the first target when none can be reached
 */
export async function planPoints(assignment: Assignment, context: StepContext, planOne: PlanOne): Promise<PlanResult> {
  const { spec } = assignment;
  const targets = targetsOf(spec);
  const shared: PointsShare = { timed: null, fits: new Map(), accuracies: new Map() };
  const points: PlannedPoint[] = [];
  const refusals: unknown[] = [];
  for (const [i, target] of targets.entries()) {
    const single = { ...assignment, spec: { ...spec, target } };
    const progress = (fraction: number) => {
      context.progress((i + fraction) / targets.length);
    };
    try {
      points.push({ point: i + 1, target, error: null, ...(await planOne(single, { ...context, progress }, shared)) });
    } catch (error) {
      if (!(error instanceof InputError) || error.code !== 'unreachable_target') throw error;
      const refusal = atTarget(spec, i + 1, error);
      refusals.push(refusal);
      const layers = finishedOne(assignment, 'inspect').result.layers.map(notCompressed);
      points.push({ point: i + 1, target, allocations: [], layers, error: serializeError(refusal) });
    }
  }
  if (refusals.length === targets.length) throw refusals[0];
  return { points };
}

const notCompressed = (row: LayerRow): LayerRow =>
  row.decision === 'dense'
    ? row
    : { ...row, status: 'done', decision: 'dense', reason: 'the target of this point cannot be reached' };
