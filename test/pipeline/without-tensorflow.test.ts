import { describe, expect, it, vi } from 'vitest';
import { OwnFaultError } from '../../src/errors/index.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { scratch } from '../models/graphs.js';
import { localOptions, writeFiles } from './network.js';

vi.mock('../../src/runtime/tensorflow.js', () => ({
  loadTensorflow: () => Promise.reject(new OwnFaultError('unavailable', 'the packages are not there')),
}));

const QUICK = { method: { samples: 200, max_iterations: 3 }, output: { format: 'tfjs_graph' } };

describe('a worker where TensorFlow.js does not load', () => {
  it('compresses models for it, and says what was not measured', async () => {
    const files = await writeFiles(scratch());
    const options = localOptions(files, scratch(), { ...QUICK, benchmark: { batch_sizes: [1] } });
    const { metrics, verdict } = await compressLocally(options);
    expect(metrics.tensorflowjs).toBeUndefined();
    expect(metrics.device.engine).toBe('onnxruntime');
    expect(verdict.warnings?.find(({ code }) => code === 'not_in_tensorflowjs')?.cause).toContain('not there');
  });

  it('gives a job back that names it', async () => {
    const files = await writeFiles(scratch());
    const benchmark = { batch_sizes: [1], runtime: 'tensorflowjs' };
    const run = compressLocally(localOptions(files, scratch(), { ...QUICK, benchmark }));
    await expect(run).rejects.toMatchObject({ code: 'unavailable', class: 'own_fault' });
  });
});
