import { InfrastructureError } from '../errors/index.js';
import type { EngineDescription, EngineOptions } from './description.js';
import type { Engine } from './engine.js';
import type { RuntimeDevice } from '../runtime/session.js';
import { cuda } from './cuda/index.js';
import { onnxruntime } from './onnxruntime/index.js';
import { tensorflow } from './tensorflow/index.js';
import { webgpu } from './webgpu/index.js';

export { matrix, rowsOf, type Engine, type Matrix, type Operand, type Resident, type Transpose } from './engine.js';
export type { EngineDescription } from './description.js';
export { DEVICE_WARNING } from '../runtime/session.js';

/**
 * The engines there are; settings, the API and `auto` follow from here. Packages are loaded when an engine is created.
 */
export const ENGINES = { onnxruntime, tensorflow, webgpu, cuda } as const satisfies Record<string, EngineDescription>;

export type EngineName = keyof typeof ENGINES;

export const engineNames = Object.keys(ENGINES) as EngineName[];

/** The one that every machine has. */
export const HOST_ENGINE = 'onnxruntime' satisfies EngineName;

export const ENGINE_CHOICES = ['auto', ...engineNames] as const;
export type EngineChoice = (typeof ENGINE_CHOICES)[number];

const automatic: readonly EngineDescription[] = Object.values(ENGINES).filter((engine) => engine.automatic);

/** Whether `auto` has more to try than the host's engine. */
export const autoHasChoice = (): boolean => automatic.some(({ installed }) => installed());

/** Where networks run beside an engine. `auto`: on the processor. */
export const deviceOfNetworks = (choice: EngineChoice): RuntimeDevice =>
  choice === 'auto' ? 'cpu' : ENGINES[choice].networks();

/**
 * @param choice `auto`: the first engine that computes on a GPU by itself, else the host's, whose product is then the
 *   faster one
 * @throws {InfrastructureError} `unavailable` when the chosen engine lacks its package or its device
 */
export async function createEngine(choice: EngineChoice, options: EngineOptions): Promise<Engine> {
  if (choice !== 'auto') return ENGINES[choice].create(options);
  for (const { create } of automatic) {
    try {
      const engine = await create(options);
      if (engine.onGpu) return engine;
      await engine.dispose();
    } catch (error) {
      if (!(error instanceof InfrastructureError)) throw error;
    }
  }
  return ENGINES[HOST_ENGINE].create(options);
}
