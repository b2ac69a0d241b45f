import type * as OnnxRuntime from 'onnxruntime-node';
import type { InferenceSession } from 'onnxruntime-node';
import { OwnFaultError } from '../../errors/index.js';
import '../../runtime/no-telemetry.js';

export type Runtime = typeof OnnxRuntime;

export async function loadRuntime(): Promise<Runtime> {
  let runtime: Runtime;
  try {
    runtime = await import('onnxruntime-node');
  } catch (cause) {
    throw new OwnFaultError('unavailable', 'the engine webgpu needs the package onnxruntime-node', { cause });
  }
  if (!runtime.listSupportedBackends().some(({ name }) => name === 'webgpu')) {
    throw new OwnFaultError('unavailable', `onnxruntime-node has no WebGPU on ${process.platform} ${process.arch}`);
  }
  return runtime;
}

/**
 * @param results where they stay
 * @throws {OwnFaultError} `unavailable` where there is no GPU
 */
export async function createSession(
  runtime: Runtime,
  model: Uint8Array,
  results: 'cpu' | 'gpu-buffer',
): Promise<InferenceSession> {
  try {
    return await runtime.InferenceSession.create(model, {
      executionProviders: ['webgpu'],
      preferredOutputLocation: results,
      // Nothing to optimize; a graph of one copy would be optimized away.
      graphOptimizationLevel: 'disabled',
      logSeverityLevel: 3,
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
