import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FORMAT_FILES } from '../../src/models/files.js';
import { MODEL_FORMATS, modelFormats } from '../../src/models/formats/index.js';
import { loadModel, saveModel } from '../../src/models/index.js';
import { modelName } from '../../src/jobs/points.js';
import { build, LIMITS, node, scratch, tensorOf } from '../models/graphs.js';

const sketch = () =>
  build({
    input: [3, 6, 6],
    tensors: [tensorOf('w', [4, 3, 3, 3]), tensorOf('b', [4])],
    nodes: [node('Conv', ['x', 'w', 'b'], 'c', [], 'conv'), node('Relu', ['c'], 'y', [], 'relu')],
  });

describe('the registry of model formats', () => {
  it('has what reads and writes each format', () => {
    expect(Object.keys(FORMAT_FILES).sort()).toEqual([...modelFormats].sort());
  });

  it.each(modelFormats)('reads what it writes as %s: the same network, the same bytes again', async (format) => {
    const [first, second] = [1, 2].map(() => join(scratch(), modelName(1, format)));
    if (first === undefined || second === undefined) throw new Error('two paths');
    await saveModel({ ...(await sketch()), format }, first);
    const read = await loadModel(first, { directory: scratch(), limits: LIMITS });
    expect(read.format).toBe(format);
    expect(read.graph.node.map(({ opType }) => opType)).toEqual(['Conv', 'Relu']);
    await saveModel(read, second);
    expect(readFileSync(second)).toEqual(readFileSync(first));
  });

  it('names artifacts by the extension of the format', () => {
    for (const format of modelFormats) {
      expect(modelName(2, format)).toBe(`model-2.${MODEL_FORMATS[format].extension}`);
    }
  });
});
