import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import type { InputError } from '../../src/errors/index.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { noise, scratch } from '../models/graphs.js';
import { filesOf, keras, loadLayers, unzip, zip } from '../models/tfjs/reference.js';
import { localOptions, SIDE, writeFiles, type Files } from './network.js';

const QUICK = { method: { samples: 200, max_iterations: 3 }, benchmark: { batch_sizes: [1] } };

let onnx: Files;
let tfjs: Files;
beforeAll(async () => {
  onnx = await writeFiles(scratch());
  tfjs = await layersModel();
});

async function layersModel(): Promise<Files> {
  const { layers } = keras;
  const conv = { filters: 24, kernelSize: 3, padding: 'same', activation: 'relu' } as const;
  const model = keras.sequential({
    layers: [
      layers.conv2d({ inputShape: [SIDE, SIDE, 3], ...conv }),
      layers.batchNormalization({}),
      layers.conv2d(conv),
      layers.globalAveragePooling2d({}),
      layers.dense({ units: 4, name: 'scores' }),
    ],
  });
  const directory = scratch();
  const calibration = join(directory, 'samples.npz');
  await writeNpz(calibration, { x: { dims: [96, SIDE, SIDE, 3], data: noise(96 * SIDE * SIDE * 3, 4) } });
  return { model: await zip(await filesOf(model), join(directory, 'model.zip')), calibration, evaluation: calibration };
}

/** The same model with `batch_shape` in place of what TensorFlow.js looks for. */
async function asKeras3(sent: Files): Promise<Files> {
  const files = await unzip(sent.model);
  const json = String(files['model.json']).replaceAll('"batch_input_shape"', '"batch_shape"');
  const changed = { ...files, 'model.json': Buffer.from(json) };
  await expect(loadLayers(changed)).rejects.toThrow('batchInputShape');
  return { ...sent, model: await zip(changed, join(scratch(), 'model.zip')) };
}

describe('a model for TensorFlow.js', () => {
  it('is measured there beside ONNX Runtime, on the files', async () => {
    const { metrics } = await compressLocally(
      localOptions(tfjs, scratch(), { ...QUICK, target: { parameter_ratio: 1.5 } }),
    );
    const { tensorflowjs, device, fidelity } = metrics;
    if (tensorflowjs === undefined) throw new Error('nothing of TensorFlow.js');
    expect(device.engine).toBe('onnxruntime');
    expect(tensorflowjs.backend).toMatch(/^(wasm|tensorflow)$/);
    expect(tensorflowjs.latency).toHaveLength(1);
    expect(tensorflowjs.fidelity.samples).toBe(64);
    expect(tensorflowjs.fidelity.relative_error / fidelity.relative_error).toBeGreaterThan(0.7);
    expect(tensorflowjs.fidelity.relative_error / fidelity.relative_error).toBeLessThan(1.4);
    expect(tensorflowjs.latency).not.toEqual(metrics.latency);
  });

  it('that TensorFlow.js itself does not load, with a configuration of Keras 3, is measured as it is written', async () => {
    const { metrics, verdict } = await compressLocally(
      localOptions(await asKeras3(tfjs), scratch(), { ...QUICK, target: { parameter_ratio: 1.5 } }),
    );
    expect(metrics.tensorflowjs?.fidelity.samples).toBe(64);
    expect((verdict.warnings ?? []).map(({ code }) => code)).not.toContain('not_in_tensorflowjs');
  });

  it('has the speed of the runtime that is named, in the plan and in the verdict', async () => {
    const { metrics, verdict } = await compressLocally(
      localOptions(tfjs, scratch(), {
        ...QUICK,
        target: { speedup: 1.05 },
        benchmark: { batch_sizes: [1, 2], runtime: 'tensorflowjs' },
      }),
    );
    expect(metrics.device.engine).toBe(`tensorflowjs ${metrics.tensorflowjs?.backend ?? ''}`);
    expect(metrics.latency).toEqual(metrics.tensorflowjs?.latency);
    expect(metrics.latency.map(({ batch }) => batch)).toEqual([1, 2]);
    expect(verdict.checks[0]).toMatchObject({ name: 'target.speedup', measured: metrics.tensorflowjs?.speedup });
  });
});

describe('an ONNX model', () => {
  it('is measured in TensorFlow.js where it is written for it', async () => {
    const { metrics } = await compressLocally(
      localOptions(onnx, scratch(), {
        ...QUICK,
        output: { format: 'tfjs_graph' },
        benchmark: { batch_sizes: [1], runtime: 'tensorflowjs' },
      }),
    );
    expect(metrics.tensorflowjs?.accuracy?.before).toBeCloseTo(metrics.accuracy?.before ?? NaN, 5);
    expect(metrics.latency).toEqual(metrics.tensorflowjs?.latency);
  });

  it('is refused with that runtime where it stays ONNX', async () => {
    const options = localOptions(onnx, scratch(), { ...QUICK, benchmark: { runtime: 'tensorflowjs' } });
    const failed: unknown = await compressLocally(options).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 'invalid_spec', faults: [{ pointer: '/benchmark/runtime' }] });
    expect((failed as InputError).message).toContain('output.format');
  });

  it('that stays ONNX has no numbers of TensorFlow.js', async () => {
    const { metrics } = await compressLocally(localOptions(onnx, scratch(), QUICK));
    expect(metrics.tensorflowjs).toBeUndefined();
  });
});
