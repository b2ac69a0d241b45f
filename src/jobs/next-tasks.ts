import type { Phase, StepResults, TaskKind } from './tasks.js';

/** A task to record. `layer` is null for the steps that have none. */
export interface NewTask {
  kind: TaskKind;
  layer: number | null;
}

export const FIRST_TASK: NewTask = { kind: 'inspect', layer: null };

const PHASE_OF: Record<TaskKind, Phase> = {
  inspect: 'inspect',
  plan: 'plan',
  layer: 'layers',
  assemble: 'assemble',
  evaluate: 'evaluate',
};

export const phaseOf = (kind: TaskKind): Phase => PHASE_OF[kind];

/** What has just been finished; `openLayers` counts the layer tasks of the job that have not succeeded. */
export type Finished =
  | { kind: 'inspect' | 'assemble' | 'evaluate' }
  | { kind: 'plan'; result: StepResults['plan'] }
  | { kind: 'layer'; openLayers: number };

/** The tasks that follow. An empty list after `evaluate` means that the job is done; after a layer, that others are still open. */
export function nextTasks(finished: Finished): NewTask[] {
  const assemble: NewTask = { kind: 'assemble', layer: null };
  switch (finished.kind) {
    case 'inspect':
      return [{ kind: 'plan', layer: null }];
    case 'plan': {
      const layers = finished.result.allocations.map(({ index }): NewTask => ({ kind: 'layer', layer: index }));
      return layers.length === 0 ? [assemble] : layers;
    }
    case 'layer':
      return finished.openLayers === 0 ? [assemble] : [];
    case 'assemble':
      return [{ kind: 'evaluate', layer: null }];
    case 'evaluate':
      return [];
  }
}
