import { readFile } from 'node:fs/promises';
import { allocate, allocateThrifty, leastCost, type AllocationLayer } from '../../../compression/index.js';
import { InputError } from '../../../errors/index.js';
import { atTarget, targetsOf } from '../../../jobs/points.js';
import { USUAL_EFFORT, type Spec, type Target } from '../../../jobs/spec.js';
import { isMeasured, targetNames, targetOf, wishOf, type Cost, type MeasuredTarget } from '../../../jobs/targets.js';
import type { Assignment, LayerAllocation, PlannedPoint, PlanResult } from '../../../jobs/tasks.js';
import { factoredCost, isDense, LOW_RANK_SHAPES, shapesOf, type Layer } from '../../../models/index.js';
import { finishedOne, keyOf } from '../../files/finished.js';
import { affordablePasses, distillationBudget, FEWEST, HELD_OUT } from '../../cost/effort.js';
import type { Curves } from '../../curves/curves.js';
import { files } from '../../files/step-files.js';
import { withChoice, withoutLayer } from '../../files/layer-rows.js';
import { droppedBranches } from './dropped.js';
import { effectOf, fastEnough, plansWithWholeLayers } from './never-slower.js';
import { outOfReach, usefulBudget } from './out-of-reach.js';
import { planPoints, type Chosen, type NetworkPlan, type PointsShare } from './plan-points.js';
import { planBytes } from './plan-bytes.js';
import { planQuality } from './plan-quality.js';
import { planSpeedup } from './plan-speedup.js';
import type { StepContext } from '../../step.js';
import { biasOfRefit, budgetOf, fixedCost, originalCost, tablesFor } from './tables.js';
import { allowedForSize, allowedForSpeed } from './thrift.js';

/** Distributes every target over the layers: every layer gets its rank and its number of kept input channels. */
export async function plan(assignment: Assignment, context: StepContext): Promise<PlanResult> {
  const inspected = finishedOne(assignment, 'inspect');
  const curves = JSON.parse(await readFile(context.path(keyOf(inspected, files.curves)), 'utf8')) as Curves;
  return planPoints(assignment, context, (single, inner, shared) => planPoint(single, inner, curves, shared));
}

/** One target: `assignment.spec.target`. */
async function planPoint(
  assignment: Assignment,
  context: StepContext,
  curves: Curves,
  shared: PointsShare,
): Promise<Omit<PlannedPoint, 'point' | 'target' | 'error'>> {
  const inspected = finishedOne(assignment, 'inspect');
  const tables = tablesFor(assignment.spec, curves, isDistilled(assignment, curves));
  const { choice, fallbacks, warnings, coding, bits } = await choose(assignment, context, { curves, tables, shared });
  const rows = new Map(inspected.result.layers.map((row) => [row.index, row]));
  const dropped = droppedBranches(curves, tables, choice);
  const gone = new Set(dropped.flatMap(({ layers }) => layers));
  for (const [i, { index, layer }] of curves.layers.entries()) {
    const row = rows.get(index);
    const chosen = tables[i]?.candidates[choice[i] ?? -1];
    if (row === undefined || chosen === undefined) throw new RangeError(`no choice for layer ${String(index)}`);
    const reason =
      tables[i]?.candidates.length === 1
        ? 'no smaller form of it is expected to be faster'
        : `the target is met at less loss ${lossIn(coding, bits)}`;
    if (gone.has(index)) continue;
    const of = bits?.[index];
    const weightBits = of === undefined ? {} : { weight_bits: of };
    rows.set(index, { ...withChoice(row, layer, chosen, isDense(chosen) ? reason : null), ...weightBits });
  }
  return {
    allocations: allocationsOf(curves, tables, choice),
    ...(dropped.length === 0 ? {} : { dropped }),
    layers: [...rows.values()].map((row) => (gone.has(row.index) ? withoutLayer(row) : row)),
    ...(warnings === undefined ? {} : { warnings }),
    ...(coding === undefined ? {} : { coding }),
    ...(bits === undefined ? {} : { bits }),
    ...(fallbacks === undefined ? {} : { fallbacks: fallbacks.map((plan) => allocationsOf(curves, tables, plan)) }),
  };
}

/** Of an image: the original forwards, the compressed network forwards and twice backwards. */
const DISTILLED_WORK = 4;

/**
 * Whether samples and effort are enough to change all layers together, as far as that is known beforehand. Networks that are tried for
 * a wish about the outputs are not.
 */
function isDistilled(
  { spec: { effort = USUAL_EFFORT, method, target }, finished, point }: Assignment,
  { images = 0, macs }: Curves,
): boolean {
  if (targetOf(wishOf(target).name).quality) return false;
  const samples = images - Math.floor(images / HELD_OUT);
  const { distillation = [] } = finishedOne({ finished }, 'inspect').result;
  const budget = distillationBudget(effort, distillation[(point ?? 1) - 1] ?? 0);
  const passes =
    method.distillation_passes ?? affordablePasses(budget, { work: DISTILLED_WORK * macs, samples, error: 1 });
  return images >= FEWEST && passes > 0;
}

/** Where what a layer that stays dense would have given is gained instead. */
function lossIn(coding: Chosen['coding'], bits: Chosen['bits']): string {
  if (bits !== undefined) return 'with fewer bits for its weights, or in other layers';
  return coding === undefined ? 'in other layers' : 'with integers';
}

/** The layers that a choice compresses. */
function allocationsOf(
  curves: Curves,
  tables: readonly AllocationLayer[],
  choice: readonly number[],
): LayerAllocation[] {
  return curves.layers.flatMap(({ index }, i) => {
    const chosen = tables[i]?.candidates[choice[i] ?? -1];
    if (chosen === undefined || isDense(chosen) || chosen.dropped === true) return [];
    const { shape, rank, inner, groups, pattern } = chosen;
    return [{ index, shape, rank, inner, groups, ...(groups === 0 || pattern === undefined ? {} : { pattern }) }];
  });
}

type Planner = (assignment: Assignment, context: StepContext, plan: NetworkPlan) => Promise<Chosen>;

/** Of the targets that are planned on the network itself. */
export const PLANNERS: Readonly<Record<MeasuredTarget, Planner>> = {
  bytes_ratio: planBytes,
  speedup: planSpeedup,
  max_accuracy_drop: planQuality,
  min_agreement: planQuality,
  max_relative_error: planQuality,
};

async function choose(
  assignment: Assignment,
  context: StepContext,
  { curves, tables, shared }: { curves: Curves; tables: AllocationLayer[]; shared: PointsShare },
): Promise<Chosen> {
  const { target } = assignment.spec;
  const { name, asked } = wishOf(target);
  if (isMeasured(name)) return PLANNERS[name](assignment, context, { curves, tables, asked, shared });
  const limit = budgetOf(target, curves);
  if (limit === null) throw new RangeError(`${name} has neither a cost nor a planner`);
  const { cost, budget } = limit;
  const fixed = fixedCost(curves, cost);
  const least = leastCost(tables, cost);
  if (least > budget - fixed) {
    const { layers } = finishedOne(assignment, 'inspect').result;
    const dense = layers.filter(({ decision }) => decision === 'dense');
    const reasons = dense.map(({ name, reason, parameters, macs }) => ({
      name,
      reason,
      size: (cost === 'macs' ? macs : parameters).before,
    }));
    const beside = reasons.reduce((rest, { size }) => rest - size, fixed);
    const before = originalCost(curves, cost);
    const { message } = unreachable({ cost, before, asked, least: least + fixed, fixed, beside, reasons });
    const at = (spent: number) => allocate(tables, { cost, budget: spent });
    const range = { least, dense: before - fixed };
    const useful = usefulBudget(range, (spent) => effectOf(tables, at(spent)));
    return { choice: at(useful), warnings: [outOfReach(message, assignment.spec, useful > least)] };
  }
  const within = { cost, budget: budget - fixed, asked };
  if (cost === 'nonzeros') return { choice: allocateWithin(tables, within) };
  const allowed = cost === 'parameters' ? allowedForSpeed : allowedForSize;
  const plans = plansWithWholeLayers(
    tables,
    (some) => (leastCost(some, cost) > within.budget ? null : allocateWithin(some, within)),
    allowed(effectOf(tables, allocate(tables, within))),
  );
  return fastEnough(assignment, context, { curves, tables, plans });
}

/**
 * A target that not even the smallest factors of every layer reach is refused before any work.
 * @param droppable layers that may be left out, by their places
 * @throws {InputError}
 */
export function checkTargets(
  spec: Pick<Spec, 'target' | 'targets'>,
  layers: readonly Layer[],
  network: Pick<Curves, 'parameters' | 'macs'>,
  droppable: ReadonlySet<number> = new Set(),
): void {
  const left = layers.filter((_, index) => !droppable.has(index));
  for (const [i, target] of targetsOf(spec).entries()) {
    try {
      checkTarget(target, { layers, left }, network);
    } catch (error) {
      throw atTarget(spec, i + 1, error);
    }
  }
}

function checkTarget(
  target: Target,
  { layers, left }: { layers: readonly Layer[]; left: readonly Layer[] },
  network: Pick<Curves, 'parameters' | 'macs'>,
): void {
  // The others are known only when candidates have been timed or evaluated.
  const limit = budgetOf(target, network);
  if (limit === null) return;
  const { cost, budget, asked } = limit;
  const before = originalCost(network, cost);
  const beside = layers.reduce((rest, layer) => rest - originalCost(layer, cost), before);
  const least = left.reduce(
    (sum, layer) =>
      sum +
      (layer.blocked !== null
        ? originalCost(layer, cost)
        : Math.min(
            originalCost(layer, cost) + (cost === 'macs' ? 0 : biasOfRefit(layer)),
            ...smallest(layer).map((c) => c[cost]),
          )),
    beside,
  );
  if (least <= budget) return;
  const blocked = left.filter((layer) => layer.blocked !== null);
  const fixed = blocked.reduce((sum, layer) => sum + originalCost(layer, cost), beside);
  const reasons = blocked.map((layer) => ({
    name: layer.name,
    reason: layer.blocked,
    size: originalCost(layer, cost),
  }));
  throw unreachable({ cost, before, asked, least, fixed, beside, reasons });
}

const smallest = (layer: Layer) =>
  shapesOf(layer).map((shape) => {
    const inner = LOW_RANK_SHAPES[shape].narrows === 'both' ? 1 : 0;
    return factoredCost(layer, { shape, rank: 1, inner, groups: 0 });
  });

/** As `allocate`, with regard to what was not asked for. */
function allocateWithin(
  tables: readonly AllocationLayer[],
  target: { cost: Cost; budget: number; asked: number },
): number[] {
  const { cost } = target;
  if (cost === 'nonzeros') return allocate(tables, target);
  return cost === 'parameters'
    ? allocateThrifty(tables, target, 'work', allowedForSpeed)
    : allocateThrifty(tables, target, 'parameters', allowedForSize);
}

/** Of the largest layers that stay dense. */
const REASONS_SHOWN = 3;

interface Unreachable {
  cost: Cost;
  before: number;
  asked: number;
  least: number;
  /** Of `before`, what stays as it is; of that, what is in no layer. */
  fixed: number;
  beside: number;
  reasons: readonly { name: string; reason: string | null; size: number }[];
}

function unreachable({ cost, before, asked, least, fixed, beside, reasons }: Unreachable): InputError {
  const ratio = (before / least).toFixed(2);
  const name = targetNames.find((target) => targetOf(target).cost === cost) ?? cost;
  const what = cost === 'macs' ? 'multiply-accumulates' : 'parameters';
  const largest = reasons.toSorted((a, b) => b.size - a.size).slice(0, REASONS_SHOWN);
  const why = largest.map(({ name, reason }) => `${name}: ${reason ?? ''}`).join('; ');
  const of = (count: number) => `; ${String(count)} of ${String(before)} ${what} are`;
  const inLayers = fixed - beside;
  const stays = [
    inLayers === 0 ? '' : `${of(inLayers)} in layers that stay dense${why === '' ? '' : ` (${why})`}`,
    beside === 0 ? '' : `${of(beside)} outside of layers (in subgraphs or in other operators)`,
  ].join('');
  const detail = `${name} ${String(asked)} cannot be reached: with every layer at its smallest it is ${ratio}${stays}`;
  return new InputError('unreachable_target', detail, {
    faults: [{ pointer: `/target/${name}`, detail: `at most ${ratio}` }],
  });
}
