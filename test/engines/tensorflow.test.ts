import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { expect } from 'vitest';
import { tensorflowEngine } from '../../src/engines/tensorflow/engine.js';
import { conformance } from './conformance.js';

// The backends that npm alone provides; tfjs-node-gpu is the same tfjs-core with another one.
for (const backend of ['cpu', 'wasm']) {
  let before = 0;
  conformance(
    `tensorflow on ${backend}`,
    async () => {
      expect(await tf.setBackend(backend)).toBe(true);
      before = tf.memory().numTensors;
      return tensorflowEngine(tf, { gpu: false, threads: 1 });
    },
    () => expect(tf.memory().numTensors, 'tensors left').toBe(before),
  );
}
