import { createRequire } from 'node:module';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import { expect, it, vi } from 'vitest';
import type { Engine } from '../../src/engines/index.js';
import { tensorflowEngine } from '../../src/engines/tensorflow/engine.js';
import type * as engines from '../../src/engines/tensorflow/load.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { scratch } from '../models/graphs.js';
import { fullRankNetwork, localOptions, writeFiles } from '../pipeline/network.js';

const used = vi.hoisted(() => ({
  /** What `tensorflow` is made by. */
  tensorflow: (): Promise<object> => Promise.reject(new Error('no engine was chosen')),
  /** Whether the host's engine may be made. */
  host: true,
}));

vi.mock(import('../../src/engines/tensorflow/load.js'), async (original) => ({
  ...(await original()),
  loadTensorflowEngine: () => used.tensorflow() as Promise<Engine>,
}));

vi.mock(import('../../src/engines/onnxruntime/engine.js'), async (original) => {
  const real = await original();
  return {
    ...real,
    createOnnxRuntimeEngine: async (options) => {
      if (!used.host) throw new Error('a part of the job took the engine of the host');
      return real.createOnnxRuntimeEngine(options);
    },
  };
});

/** A folder that native/build.sh made. */
const folder = process.env['TFJS_NODE'] ?? '';

const BACKENDS = {
  wasm: async () => {
    expect(await tf.setBackend('wasm')).toBe(true);
    return tensorflowEngine(tf, { gpu: false, threads: 1 });
  },
  native: async () => {
    const path = createRequire(join(folder, 'package.json')).resolve('@tensorflow/tfjs-node-gpu');
    const { loadTensorflowEngine } = await vi.importActual<typeof engines>('../../src/engines/tensorflow/load.js');
    return loadTensorflowEngine(path);
  },
};

const made = { products: 0, statistics: 0 };

/** Counts what is asked of an engine. */
function counted(engine: Engine): Engine {
  return {
    ...engine,
    multiply: (...given) => {
      made.products++;
      return engine.multiply(...given);
    },
    gram: (...given) => {
      made.statistics++;
      return engine.gram(...given);
    },
    crossGram: (...given) => {
      made.statistics++;
      return engine.crossGram(...given);
    },
  };
}

const names = folder === '' ? (['wasm'] as const) : (['wasm', 'native'] as const);

it.each(names)(
  'a whole job on the engine tensorflow (%s): statistics, plan, solve and refit, and the same network as on the host',
  async (name) => {
    const files = await writeFiles(scratch(), fullRankNetwork());
    const given = { target: { parameter_ratio: 3 }, benchmark: { batch_sizes: [1] } };
    used.host = true;
    const onHost = await compressLocally(localOptions(files, scratch(), given));
    used.host = false;
    used.tensorflow = async () => counted(await BACKENDS[name]());
    Object.assign(made, { products: 0, statistics: 0 });
    const { metrics } = await compressLocally({ ...localOptions(files, scratch(), given), engine: 'tensorflow' });
    expect(made.products).toBeGreaterThan(100);
    expect(made.statistics).toBeGreaterThan(10);
    expect(metrics.parameters.after).toBe(onHost.metrics.parameters.after);
    const difference = metrics.fidelity.relative_error - onHost.metrics.fidelity.relative_error;
    // Rounding is another; a layer that is fitted on something else would show.
    expect(Math.abs(difference)).toBeLessThan(0.02 * onHost.metrics.fidelity.relative_error + 1e-4);
  },
);
