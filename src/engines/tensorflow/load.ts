import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { InfrastructureError } from '../../errors.js';
import type { Engine } from '../engine.js';
import { tensorflowEngine, type TensorFlow } from './engine.js';

/** tfjs-node-gpu is tfjs-core with a native backend and these extras. */
interface TensorFlowGpu extends TensorFlow {
  node: { isUsingGpuDevice?(): boolean };
}

// A variable keeps the compiler from resolving an optional package.
const PACKAGE: string = '@tensorflow/tfjs-node-gpu';

/** Whether the optional package is there; it may still not load. */
export function tensorflowInstalled(): boolean {
  try {
    createRequire(import.meta.url).resolve(PACKAGE);
    return true;
  } catch {
    return false;
  }
}

/** @throws {InfrastructureError} when the package is absent or its native library does not load. */
export async function loadTensorflowEngine(): Promise<{ engine: Engine; gpu: boolean }> {
  let tf: TensorFlowGpu;
  try {
    const loaded = (await import(PACKAGE)) as TensorFlowGpu & { default?: TensorFlowGpu };
    tf = loaded.default ?? loaded;
    await tf.ready();
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new InfrastructureError(
      'unavailable',
      `the engine tensorflow needs the package ${PACKAGE}, which did not load: ${why}`,
      { cause },
    );
  }
  const gpu = tf.node.isUsingGpuDevice?.() ?? false;
  return { engine: tensorflowEngine(tf, gpu ? 'tensorflow gpu' : 'tensorflow cpu', availableParallelism()), gpu };
}
