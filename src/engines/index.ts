import { InfrastructureError } from '../errors.js';
import type { Engine } from './engine.js';
import { createOnnxRuntimeEngine } from './onnxruntime/engine.js';
import { loadTensorflowEngine } from './tensorflow/load.js';

export { tensorflowInstalled } from './tensorflow/load.js';

export { matrix, rowsOf, type Engine, type Matrix, type Operand, type Resident, type Transpose } from './engine.js';

export type EngineChoice = 'auto' | 'onnxruntime' | 'tensorflow';

/**
 * @param options.threads compute threads; 0 takes all cores
 * @throws {InfrastructureError} `unavailable` when the package of the chosen engine is not installed
 */
export async function createEngine(choice: EngineChoice, options: { threads: number }): Promise<Engine> {
  if (choice === 'onnxruntime') return createOnnxRuntimeEngine(options.threads);
  if (choice === 'tensorflow') return (await loadTensorflowEngine()).engine;
  try {
    // Without a GPU, ONNX Runtime's product is the faster one.
    const { engine, gpu } = await loadTensorflowEngine();
    if (gpu) return engine;
    await engine.dispose();
  } catch (error) {
    if (!(error instanceof InfrastructureError)) throw error;
  }
  return createOnnxRuntimeEngine(options.threads);
}
