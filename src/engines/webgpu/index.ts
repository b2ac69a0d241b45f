import type { EngineDescription } from '../description.js';
import { createWebgpuEngine } from './engine.js';

/**
 * ONNX Runtime's WebGPU. Has to be asked for: on an H200, layers were solved no faster than by 16 cores
 * (docs/benchmarks.md).
 */
export const webgpu: EngineDescription = {
  processor: 'gpu',
  automatic: false,
  installed: () => true,
  networks: () => 'webgpu',
  create: ({ threads }) => createWebgpuEngine(threads),
};
