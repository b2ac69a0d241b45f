import { OwnFaultError } from '../../errors/index.js';
import { loadRuntime, openSession } from '../../runtime/session.js';
import type { EngineDescription } from '../description.js';
import type { Engine } from '../engine.js';
import { createOnnxRuntimeEngine } from '../onnxruntime/engine.js';
import { productModel } from '../onnxruntime/product-model.js';
import { cudaInstalled } from './installed.js';

/**
 * ONNX Runtime's CUDA for networks. The solver's products stay on the processor: through this runtime a result comes back after every one, which on an H200
 * took what the GPU had gained (docs/benchmarks.md).
 */
export const cuda: EngineDescription = {
  processor: 'gpu',
  automatic: false,
  installed: cudaInstalled,
  networks: () => 'cuda',
  create: ({ threads }) => createCudaEngine(threads),
};

/** @throws {OwnFaultError} `unavailable` where the provider or a GPU is missing */
async function createCudaEngine(threads: number): Promise<Engine> {
  const runtime = await loadRuntime('the engine cuda');
  try {
    const session = await openSession(runtime, productModel(false, false), { executionProviders: ['cuda'] });
    await session.release();
  } catch (cause) {
    const why = cudaInstalled()
      ? 'it finds no GPU, or not CUDA 12 and cuDNN 9'
      : 'onnxruntime-node is installed without its CUDA provider (onnxruntime-node-install=cuda12)';
    throw new OwnFaultError('unavailable', `the engine cuda needs an NVIDIA GPU: ${why}`, { cause });
  }
  return { ...(await createOnnxRuntimeEngine(threads)), name: 'cuda', device: 'cuda', onGpu: true };
}
