import { OwnFaultError } from '../../errors/index.js';
import { loadRuntime, openSession, type Runtime, type Session } from '../../runtime/session.js';

/** @throws {OwnFaultError} `unavailable` where the runtime has no WebGPU */
export async function loadWebgpu(): Promise<Runtime> {
  const runtime = await loadRuntime('the engine webgpu');
  if (!runtime.listSupportedBackends().some(({ name }) => name === 'webgpu')) {
    throw new OwnFaultError('unavailable', `onnxruntime-node has no WebGPU on ${process.platform} ${process.arch}`);
  }
  return runtime;
}

/**
 * @param results where they stay
 * @throws {OwnFaultError} `unavailable` where there is no GPU
 */
export async function openOnGpu(runtime: Runtime, model: Uint8Array, results: 'cpu' | 'gpu-buffer'): Promise<Session> {
  try {
    return await openSession(runtime, model, {
      executionProviders: ['webgpu'],
      preferredOutputLocation: results,
      // Nothing to optimize; a graph of one copy would be optimized away.
      graphOptimizationLevel: 'disabled',
    });
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    // The first line is a place in the runtime's source.
    const why = /adapter/i.test(message) ? 'there is none with a working driver' : (message.split('\n')[0] ?? '');
    throw new OwnFaultError(
      'unavailable',
      `the engine webgpu needs a GPU that Vulkan, Metal or Direct3D 12 reaches: ${why}`,
      {
        cause,
      },
    );
  }
}
