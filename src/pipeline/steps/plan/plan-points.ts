import type { AllocationLayer, SolvedLayer } from '../../../compression/index.js';
import { targetsOf } from '../../../jobs/points.js';
import type { Warning } from '../../../jobs/results.js';
import type { Assignment, PlannedPoint, PlanResult } from '../../../jobs/tasks.js';
import type { WeightBits, WeightCodingName } from '../../../models/index.js';
import type { Curves } from '../../curves/curves.js';
import type { Quality } from '../../network/quality.js';
import { partOf, type StepContext } from '../../step.js';

/** A layer solved linearly. */
export type LinearFit = Pick<SolvedLayer, 'factors' | 'lean'>;

/** What the plan of one point leaves to the next: it costs time and does not depend on the target. */
export interface PointsShare {
  /** Candidates with the time of each on this worker's runtime, in float32 and as they compute with integers. */
  timed: Map<'float32' | 'integers', AllocationLayer[]>;
  /** What integers alone change of the outputs, squared; null: not known yet. */
  integerError: number | null;
  /** Linear fits, by layer, rank and groups. */
  fits: Map<string, LinearFit>;
  /** What networks that were tried came to, by the choice of every layer. */
  qualities: Map<string, Quality>;
}

/** What a target that is planned on the network itself is planned from. */
export interface NetworkPlan {
  curves: Curves;
  tables: readonly AllocationLayer[];
  asked: number;
  shared: PointsShare;
}

/** A plan: the index of the chosen candidate for every layer of the curves. */
export interface Chosen {
  choice: number[];
  /** Less and less compressed ones. */
  fallbacks?: number[][];
  /** Where it falls short of the target. */
  warnings?: Warning[];
  /** How the weights are kept; absent: as the specification says. */
  coding?: WeightCodingName;
  /** Of a weight in a codebook, by index of the layer. */
  bits?: Readonly<Record<number, WeightBits>>;
}

type PlanOne = (
  assignment: Assignment,
  context: StepContext,
  shared: PointsShare,
) => Promise<Omit<PlannedPoint, 'point' | 'target' | 'error'>>;

/** Plans every target by itself from the same curves. */
export async function planPoints(assignment: Assignment, context: StepContext, planOne: PlanOne): Promise<PlanResult> {
  const { spec } = assignment;
  const targets = targetsOf(spec);
  const shared: PointsShare = { timed: new Map(), integerError: null, fits: new Map(), qualities: new Map() };
  const points: PlannedPoint[] = [];
  for (const [i, target] of targets.entries()) {
    const single = { ...assignment, point: i + 1, spec: { ...spec, target } };
    points.push({
      point: i + 1,
      target,
      error: null,
      ...(await planOne(single, partOf(context, i / targets.length, (i + 1) / targets.length), shared)),
    });
  }
  return { points };
}
