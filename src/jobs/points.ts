import { MODEL_FORMATS, type ModelFormatName } from '../models/formats/index.js';
import { InputError } from '../errors/index.js';
import type { Spec, Target } from './spec.js';
import type { LayerAllocation, PlannedPoint, PlanResult } from './tasks.js';

/** A job has one point of the trade-off curve for every target. Points are counted from 1. */

export const targetsOf = ({ target, targets }: Pick<Spec, 'target' | 'targets'>): Target[] => targets ?? [target];

/** The points that can be reached. */
export const reachedPoints = (plan: PlanResult): PlannedPoint[] => plan.points.filter(({ error }) => error === null);

/** One way to compress a layer, and the points that chose it. */
export interface Choice {
  allocation: LayerAllocation;
  points: number[];
}

/** The distinct choices of a layer over all points: each is solved once. */
export function choicesOf(plan: PlanResult, layer: number): Choice[] {
  const choices = new Map<string, Choice>();
  for (const { point, allocations } of reachedPoints(plan)) {
    const allocation = allocations.find(({ index }) => index === layer);
    if (allocation === undefined) continue;
    const key = JSON.stringify(Object.entries(allocation).sort());
    const known = choices.get(key);
    if (known === undefined) choices.set(key, { allocation, points: [point] });
    else known.points.push(point);
  }
  return [...choices.values()];
}

/** The layers that at least one point compresses, in graph order. */
export function layersToSolve(plan: PlanResult): number[] {
  const indices = reachedPoints(plan).flatMap(({ allocations }) => allocations.map(({ index }) => index));
  return [...new Set(indices)].sort((a, b) => a - b);
}

/** Where the specification has the target of a point. */
export const targetPointer = ({ targets }: Pick<Spec, 'targets'>, point: number): string =>
  targets === undefined ? '/target' : `/targets/${String(point - 1)}`;

/** What is wrong with a target, which the steps call `/target`, with the pointer to where it stands. */
export function atTarget(spec: Pick<Spec, 'targets'>, point: number, error: unknown): unknown {
  if (!(error instanceof InputError)) return error;
  const faults = error.faults.map(({ pointer, detail }) => ({
    pointer: pointer.replace(/^\/target(?=\/|$)/, targetPointer(spec, point)),
    detail,
  }));
  const layer = error.layer === undefined ? {} : { layer: error.layer };
  return new InputError(error.code, error.message, { faults, ...layer, cause: error });
}

/** The format that the compressed model is written in. @param sent the format of the model that was sent */
export const writtenFormat = ({ output }: Pick<Spec, 'output'>, sent: ModelFormatName): ModelFormatName =>
  output?.format ?? sent;

/** Name of the artifact that holds the network of a point. */
export const modelName = (point: number, format: ModelFormatName): string =>
  `model${point === 1 ? '' : `-${String(point)}`}.${MODEL_FORMATS[format].extension}`;
