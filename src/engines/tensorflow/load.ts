import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { pathToFileURL } from 'node:url';
import { OwnFaultError } from '../../errors/index.js';
import type { Engine } from '../engine.js';
import { tensorflowEngine, type TensorFlow } from './engine.js';

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

/**
 * @param path of the package's main file; default: the optional package
 * @throws {OwnFaultError} when the package is absent or its native library does not load.
 */
export async function loadTensorflowEngine(path?: string): Promise<Engine> {
  // From Ampere on, TensorFlow rounds the operands of products to 10 bits (TF32) unless NVIDIA's libraries are told not
  // to: the solver's tolerances are those of single precision.
  process.env['NVIDIA_TF32_OVERRIDE'] ??= '0';
  let tf: TensorFlow;
  try {
    const loaded = (await import(path === undefined ? PACKAGE : pathToFileURL(path).href)) as TensorFlow & {
      default?: TensorFlow;
    };
    tf = loaded.default ?? loaded;
    await tf.ready();
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new OwnFaultError(
      'unavailable',
      `the engine tensorflow needs the package ${PACKAGE}, which did not load: ${why}`,
      { cause },
    );
  }
  // The package says it of its backend, not of `tf.node`.
  const { isUsingGpuDevice: gpu = false } = tf.backend() as { isUsingGpuDevice?: boolean };
  return tensorflowEngine(tf, { gpu, threads: availableParallelism() });
}
