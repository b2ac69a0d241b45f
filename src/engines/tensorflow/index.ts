import type { EngineDescription } from '../description.js';
import { loadTensorflowEngine, tensorflowInstalled } from './load.js';

/** TensorFlow.js on its native backend. */
export const tensorflow: EngineDescription = {
  processor: 'either',
  automatic: true,
  installed: tensorflowInstalled,
  create: () => loadTensorflowEngine(),
};
