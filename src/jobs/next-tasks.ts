import { layersToSolve, reachedPoints } from './points.js';
import type { Phase, PlanResult, TaskKind } from './tasks.js';

/** A task to record. `layer` and `point` are null for the steps that have none. */
export interface NewTask {
  kind: TaskKind;
  layer: number | null;
  point: number | null;
}

const single = (kind: TaskKind): NewTask => ({ kind, layer: null, point: null });

export const FIRST_TASK: NewTask = single('inspect');

const PHASE_OF: Record<TaskKind, Phase> = {
  inspect: 'inspect',
  plan: 'plan',
  layer: 'layers',
  assemble: 'assemble',
  evaluate: 'evaluate',
};

export const phaseOf = (kind: TaskKind): Phase => PHASE_OF[kind];

/** What has just been finished; `open` counts the tasks of the same kind that have not succeeded. */
export type Finished =
  | { kind: 'inspect' | 'evaluate' }
  | { kind: 'plan' | 'layer'; plan: PlanResult; open: number }
  | { kind: 'assemble'; open: number };

/**
 * The tasks that follow. An empty list after `evaluate` means that the job is done; after a layer or a point, that
 * others are still open.
 */
export function nextTasks(finished: Finished): NewTask[] {
  switch (finished.kind) {
    case 'inspect':
      return [single('plan')];
    case 'plan': {
      const layers = layersToSolve(finished.plan).map((layer): NewTask => ({ kind: 'layer', layer, point: null }));
      return layers.length === 0 ? assemblies(finished.plan) : layers;
    }
    case 'layer':
      return finished.open === 0 ? assemblies(finished.plan) : [];
    case 'assemble':
      return finished.open === 0 ? [single('evaluate')] : [];
    case 'evaluate':
      return [];
  }
}

const assemblies = (plan: PlanResult): NewTask[] =>
  reachedPoints(plan).map(({ point }) => ({ kind: 'assemble', layer: null, point }));
