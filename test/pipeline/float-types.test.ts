import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { decodeModel } from '../../src/models/ir/codec.js';
import { DataType } from '../../src/models/ir/messages.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { inType } from '../models/float-types.js';
import { scratch } from '../models/graphs.js';
import { localOptions, plantedNetwork, writeFiles } from './network.js';

it.each([
  ['float16', DataType.FLOAT16, DataType.FLOAT16],
  ['double', DataType.DOUBLE, DataType.FLOAT],
])('a network of %s goes the whole way, and comes back with its inputs and outputs', async (_, type, weights) => {
  const directory = scratch();
  const files = await writeFiles(directory, inType(type, plantedNetwork()));
  const output = scratch();
  const result = await compressLocally(localOptions(files, output));
  expect(result.verdict.passed).toBe(true);
  expect(result.metrics.fidelity.relative_error).toBeLessThan(0.02);
  expect(result.metrics.parameters.ratio).toBeGreaterThanOrEqual(3);
  // Bytes shrink as the numbers do, but for the nodes around them.
  expect(result.metrics.bytes.ratio).toBeGreaterThan(2);
  const { graph } = decodeModel(readFileSync(join(output, 'model.onnx')));
  const types = [...(graph?.input ?? []), ...(graph?.output ?? [])].map((port) => port.type?.tensorType?.elemType);
  expect(types).toEqual([type, type]);
  const large = graph?.initializer.filter(({ rawData }) => (rawData?.length ?? 0) > 2000) ?? [];
  expect(new Set(large.map(({ dataType }) => dataType))).toEqual(new Set([weights]));
});
