import { createRequire } from 'node:module';
import type * as Core from '@tensorflow/tfjs-core';
import type { GraphModel } from '@tensorflow/tfjs-converter';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { OwnFaultError } from '../errors/index.js';

/** TensorFlow.js with the fastest backend that is there. */
export interface Tensorflow {
  core: typeof Core;
  loadGraphModel(handler: Core.io.IOHandler): Promise<GraphModel>;
  loadLayersModel(handler: Core.io.IOHandler): Promise<LayersModel>;
  /** `wasm`, or `tensorflow` where a native package is installed. */
  backend: string;
  version: string;
}

/** Installed by whoever wants them; both bring the backend `tensorflow`. */
const NATIVE = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'];

let loaded: Promise<Tensorflow> | undefined;

/**
 * The packages are loaded at the first call.
 * @throws {OwnFaultError} `unavailable` where they are not there
 */
export function loadTensorflow(): Promise<Tensorflow> {
  loaded ??= load().catch((cause: unknown) => {
    loaded = undefined;
    throw new OwnFaultError('unavailable', 'measuring in TensorFlow.js needs its packages, which did not load', {
      cause,
    });
  });
  return loaded;
}

async function load(): Promise<Tensorflow> {
  const core = await import('@tensorflow/tfjs-core');
  // Neither advice on the console nor checks of every result.
  core.enableProdMode();
  const backend = (await native(core)) ? 'tensorflow' : 'wasm';
  if (backend === 'wasm') {
    await import('@tensorflow/tfjs-backend-wasm');
    if (!(await core.setBackend('wasm'))) throw new Error('the backend wasm does not start');
  }
  await core.ready();
  const [{ loadGraphModel }, { loadLayersModel }] = await Promise.all([
    import('@tensorflow/tfjs-converter'),
    import('@tensorflow/tfjs-layers'),
  ]);
  const { version_core: version } = core;
  return { core, loadGraphModel, loadLayersModel, backend, version };
}

async function native(core: typeof Core): Promise<boolean> {
  for (const name of NATIVE) {
    try {
      createRequire(import.meta.url).resolve(name);
      await import(name);
      // Another copy of the core would not know it.
      if (core.findBackendFactory('tensorflow') !== null && (await core.setBackend('tensorflow'))) return true;
    } catch {
      // Absent, or its library does not load: the next one.
    }
  }
  return false;
}
