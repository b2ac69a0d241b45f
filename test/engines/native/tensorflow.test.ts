import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { matrix } from '../../../src/engines/index.js';
import type { TensorFlow } from '../../../src/engines/tensorflow/engine.js';
import { loadTensorflowEngine } from '../../../src/engines/tensorflow/load.js';
import { conformance } from '../conformance.js';

const folder = process.env['TFJS_NODE'] ?? '';

/** In a folder that build.sh made. */
function installed() {
  const require = createRequire(join(folder, 'package.json'));
  const path = require.resolve('@tensorflow/tfjs-node-gpu');
  return { path, tf: require('@tensorflow/tfjs-core') as TensorFlow };
}

if (folder === '') {
  // Hundreds of megabytes that not everybody can download.
  it.skip('engine tensorflow on its native backend: TFJS_NODE does not name a folder that build.sh made', () =>
    undefined);
} else {
  let before = 0;
  conformance(
    'tensorflow on its native backend',
    async () => {
      const { path, tf } = installed();
      const engine = await loadTensorflowEngine(path);
      before = tf.memory().numTensors;
      return engine;
    },
    (engine) => {
      expect(engine.name).toBe('tensorflow');
      expect(installed().tf.getBackend()).toBe('tensorflow');
      expect(installed().tf.memory().numTensors, 'tensors left').toBe(before);
    },
  );

  it('says whether it computes on a GPU', async () => {
    const { path } = installed();
    const engine = await loadTensorflowEngine(path);
    expect(typeof engine.onGpu).toBe('boolean');
    expect(engine.device).toBe(engine.onGpu ? 'tensorflow gpu' : 'tensorflow cpu');
    await engine.dispose();
  });

  it('gives memory back: many large products leave the process as it was', async () => {
    const engine = await loadTensorflowEngine(installed().path);
    const a = matrix(1000, 1000, new Float32Array(1e6).fill(0.5));
    const rounds = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const held = engine.hold(a);
        await engine.multiply(held, a);
        held.dispose();
      }
    };
    await rounds(20);
    const start = process.memoryUsage.rss();
    await rounds(200);
    // A single tensor left behind in every round would be 800 MB.
    expect(process.memoryUsage.rss() - start).toBeLessThan(100 * 2 ** 20);
    await engine.dispose();
  });

  it('leaves a result alone when more products follow', async () => {
    const engine = await loadTensorflowEngine(installed().path);
    const a = matrix(2, 2, Float32Array.of(1, 2, 3, 4));
    const one = matrix(2, 2, Float32Array.of(1, 0, 0, 1));
    const first = await engine.multiply(a, one);
    for (let i = 0; i < 10; i++) await engine.multiply(one, one);
    expect([...first.data]).toEqual([1, 2, 3, 4]);
    await engine.dispose();
  });
}
