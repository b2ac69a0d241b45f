import type { EngineDescription } from '../description.js';
import { createOnnxRuntimeEngine } from './engine.js';

/** ONNX Runtime on the processor. */
export const onnxruntime: EngineDescription = {
  processor: 'cpu',
  automatic: false,
  installed: () => true,
  networks: () => 'cpu',
  create: ({ threads }) => createOnnxRuntimeEngine(threads),
};
