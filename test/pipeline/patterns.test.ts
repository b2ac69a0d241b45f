import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { listLayers, loadModel, prepare, SPARSE_PATTERNS, storesZeros, ZEROS_NOTE } from '../../src/models/index.js';
import { tensorFloats } from '../../src/models/ir/tensors.js';
import { UNREAD_NOTE } from '../../src/pipeline/files/layer-rows.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { batchOf, scratch } from '../models/graphs.js';
import { SLOWER_NOTE } from '../../src/pipeline/latency/layer-latency.js';
import { LIMITS, localOptions, SIDE, writeFiles, type Files } from './network.js';

let files: Files;
beforeAll(async () => {
  files = await writeFiles(scratch());
});

const method = (pattern: string, components: string[]) => ({
  ...{ pattern, components, samples: 500, max_iterations: 8 },
  drop_branches: false,
});

describe.each(SPARSE_PATTERNS)('a whole job with the pattern %s', (pattern) => {
  const zeros = storesZeros({ op: 'Conv' }, pattern);

  it('reaches its target by the sparse part alone, and reports what the file holds', async () => {
    const output = scratch();
    const target = zeros ? { nonzero_ratio: 1.6 } : { parameter_ratio: 1.6 };
    const given = { target, method: method(pattern, ['sparse']) };
    const result = await compressLocally(localOptions(files, output, given));
    expect(result.verdict.checks[0]).toMatchObject({ passed: true });
    const compressed = result.layers.filter(({ decision }) => decision === 'compressed');
    expect(compressed.length).toBeGreaterThan(0);
    for (const row of compressed) {
      expect(row).toMatchObject({ pattern, rank: 0 });
      // Whether a layer is faster is measured; which of two equal ways to be smaller is taken, rounding decides.
      expect(zeros ? [ZEROS_NOTE] : [null, SLOWER_NOTE, UNREAD_NOTE]).toContain(row.reason);
      expect(row.groups ?? 0).toBeGreaterThan(0);
      expect(row.groups ?? 0).toBeLessThanOrEqual(row.groups_total ?? 0);
      expect(row.relative_error ?? 1).toBeLessThan(1);
    }
    const model = await loadModel(join(output, 'model.onnx'), { directory: scratch(), limits: LIMITS });
    const listed = await listLayers(prepare(model), batchOf([3, SIDE, SIDE], 2), { threads: 1 });
    expect(listed.parameters).toBe(result.metrics.parameters.after);
    expect(listed.macs).toBe(result.metrics.macs.after);
    expect(result.layers.reduce((sum, row) => sum + row.parameters.after, 0)).toBe(listed.parameters);
    const { nonzeros, parameters } = result.metrics;
    const zerosInFile = model.graph.initializer
      .filter((tensor) => tensor.dataType === 1)
      .reduce((sum, tensor) => sum + tensorFloats(tensor, model.directory).filter((v) => v === 0).length, 0);
    expect(parameters.after - (nonzeros?.after ?? NaN)).toBe(zerosInFile);
    // Zeros that are stored never count as fewer parameters.
    if (zeros) expect(parameters.ratio).toBeLessThanOrEqual(1);
    else expect(parameters.ratio).toBeGreaterThanOrEqual(1.6);
    const report = JSON.parse(await readFile(join(output, 'report.json'), 'utf8')) as { layers: { pattern: string }[] };
    expect(report.layers[0]?.pattern).toBe(pattern);
  });

  it('works beside a low-rank part', async () => {
    const target = zeros ? { nonzero_ratio: 3 } : { parameter_ratio: 3 };
    const given = { target, method: method(pattern, ['low_rank', 'sparse']) };
    const result = await compressLocally(localOptions(files, scratch(), given));
    expect(result.verdict.checks[0]).toMatchObject({ passed: true });
    // The planted layers have a low rank.
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.05);
  });
});

it('parameters cannot be saved by zeros that are stored, and the job says so', async () => {
  const given = { target: { parameter_ratio: 1.6 }, method: method('unstructured', ['sparse']) };
  const { metrics, verdict } = await compressLocally(localOptions(files, scratch(), given));
  expect(metrics.parameters.ratio).toBe(1);
  expect(verdict.passed).toBe(false);
  expect(verdict.warnings?.find(({ code }) => code === 'target_out_of_reach')?.cause).toMatch(
    /parameter_ratio 1.6 cannot be reached/,
  );
});
