import type { RuntimeDevice } from '../runtime/session.js';
import type { Engine } from './engine.js';

export interface EngineOptions {
  /** Compute threads; 0 takes all cores. */
  threads: number;
}

/** What is known of an engine before its package is loaded. */
export interface EngineDescription {
  /** Where products are computed; `either`: as the machine has it. */
  processor: 'cpu' | 'gpu' | 'either';
  /** Whether `auto` takes the engine where it computes on a GPU. */
  automatic: boolean;
  /** Whether its package is there; it may still not load. */
  installed: () => boolean;
  /** Where ONNX Runtime runs networks beside it: passes over the data, and distillation. What is timed runs on the processor. */
  networks: () => RuntimeDevice;
  /** @throws {InfrastructureError} `unavailable` when it lacks its package or its device */
  create: (options: EngineOptions) => Promise<Engine>;
}
