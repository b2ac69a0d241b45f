import { InfrastructureError } from '../errors/index.js';
import type { Engine, EngineName } from './engine.js';
import { createOnnxRuntimeEngine } from './onnxruntime/engine.js';
import { createWebgpuEngine } from './webgpu/engine.js';
import { loadTensorflowEngine } from './tensorflow/load.js';

export { tensorflowInstalled } from './tensorflow/load.js';

export {
  matrix,
  rowsOf,
  type Engine,
  type EngineName,
  type Matrix,
  type Operand,
  type Resident,
  type Transpose,
} from './engine.js';

export type EngineChoice = 'auto' | EngineName;

/**
 * @param options.threads compute threads; 0 takes all cores
 * @throws {InfrastructureError} `unavailable` when the chosen engine lacks its package or its device
 */
export async function createEngine(choice: EngineChoice, options: { threads: number }): Promise<Engine> {
  if (choice === 'onnxruntime') return createOnnxRuntimeEngine(options.threads);
  if (choice === 'webgpu') return createWebgpuEngine(options.threads);
  if (choice === 'tensorflow') return (await loadTensorflowEngine()).engine;
  try {
    // Without a GPU, ONNX Runtime's product is the faster one. So it is with one that only WebGPU reaches: on an H200, layers were
    // solved no faster than by 16 cores (docs/benchmarks.md), so that one has to be asked for.
    const { engine, gpu } = await loadTensorflowEngine();
    if (gpu) return engine;
    await engine.dispose();
  } catch (error) {
    if (!(error instanceof InfrastructureError)) throw error;
  }
  return createOnnxRuntimeEngine(options.threads);
}
