import type { EngineDescription } from '../description.js';
import { cudaInstalled } from '../cuda/installed.js';
import { loadTensorflowEngine, tensorflowInstalled } from './load.js';

/** TensorFlow.js on its native backend. */
export const tensorflow: EngineDescription = {
  processor: 'either',
  automatic: true,
  installed: tensorflowInstalled,
  networks: () => (cudaInstalled() ? 'cuda' : 'cpu'),
  create: () => loadTensorflowEngine(),
};
