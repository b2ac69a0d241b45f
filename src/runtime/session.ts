// First: it must be evaluated before the runtime.
import './no-telemetry.js';
import type * as OnnxRuntime from 'onnxruntime-node';
import type { InferenceSession } from 'onnxruntime-node';
import { OwnFaultError } from '../errors/index.js';

export type Runtime = typeof OnnxRuntime;
export type Session = InferenceSession;
export type SessionOptions = InferenceSession.SessionOptions;

/** Where networks run. */
export type RuntimeDevice = 'cpu' | 'webgpu' | 'cuda';

/** Name of the warning that a network does not run where it should. */
export const DEVICE_WARNING = 'DeviceWarning';

type Providers = NonNullable<SessionOptions['executionProviders']>;

/**
 * What the device lacks, the processor does.
 * @param lacking names of nodes that WebGPU takes and then cannot run
 */
export function providersOf(device: RuntimeDevice, lacking: () => readonly string[]): Providers {
  if (device === 'cpu') return ['cpu'];
  if (device === 'cuda') return ['cuda', 'cpu'];
  const names = lacking();
  // An empty list is refused.
  return [{ name: 'webgpu', ...(names.length === 0 ? {} : { forceCpuNodeNames: names }) }, 'cpu'];
}

/**
 * The package is loaded at the first call: settings and the API never need it.
 * @param who as in "… needs the package"
 * @throws {OwnFaultError} `unavailable` where the package is not there
 */
export async function loadRuntime(who: string): Promise<Runtime> {
  try {
    return await import('onnxruntime-node');
  } catch (cause) {
    throw new OwnFaultError('unavailable', `${who} needs the package onnxruntime-node`, { cause });
  }
}

/**
 * Opens a session, the only way to do so; to be released.
 * @param model bytes of an .onnx file, or the path of one with its external data beside it
 */
export async function openSession(
  runtime: Runtime,
  model: Uint8Array | string,
  options: SessionOptions,
): Promise<Session> {
  const settings: SessionOptions = { logSeverityLevel: 3, ...options };
  // From Ampere on, NVIDIA's libraries round the operands of products to 10 bits (TF32) unless told not to.
  if (settings.executionProviders?.includes('cuda')) process.env['NVIDIA_TF32_OVERRIDE'] ??= '0';
  return typeof model === 'string'
    ? runtime.InferenceSession.create(model, settings)
    : runtime.InferenceSession.create(model, settings);
}
