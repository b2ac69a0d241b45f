import { describe, expect, it } from 'vitest';
import { prepare, Runner, saveModel, withShortNames, type Model } from '../../src/models/index.js';
import { allNodes } from '../../src/models/graph/graph-index.js';
import { AttributeType, DataType, type GraphProto } from '../../src/models/ir/messages.js';
import { batchOf, build, LIMITS, node, scratch, tensorOf } from './graphs.js';
import { loadModel } from '../../src/models/index.js';
import { TOPOLOGIES } from './topologies.js';
import { join } from 'node:path';

async function outputOf(model: Model, input: number[]): Promise<Float32Array> {
  const runner = await Runner.open(model, { threads: 1 });
  try {
    return (await runner.run(batchOf(input, 2))).get('y')?.data as Float32Array;
  } finally {
    await runner.release();
  }
}

const tensorsIn = (model: Model): string[] => [
  ...model.graph.initializer.map(({ name }) => name),
  ...[...allNodes(model.graph)].flatMap(({ input, output }) => [...input, ...output]),
];

describe('short names', () => {
  it.each(Object.entries(TOPOLOGIES))('change nothing that is computed, and are read again: %s', async (_, sketch) => {
    const model = prepare(await build(sketch));
    const short = withShortNames(model);
    const path = join(scratch(), 'short.onnx');
    await saveModel(short, path);
    const read = await loadModel(path, { directory: scratch(), limits: LIMITS });
    const [before, after] = [await outputOf(model, sketch.input), await outputOf(read, sketch.input)];
    expect(after).toEqual(before);
    const inner = new Set(tensorsIn(short).filter((name) => !['x', 'y', ''].includes(name)));
    for (const name of inner) expect(name.length).toBeLessThanOrEqual(2);
    expect(new Set(tensorsIn(short)).size).toBe(new Set(tensorsIn(model)).size);
    for (const { name } of allNodes(short.graph)) expect(name).toBe('');
  });

  it('are the same inside of branches, which read tensors from outside', async () => {
    const branch = (seed: number): GraphProto => ({
      name: `branch${String(seed)}`,
      node: [
        node('Conv', ['c0', `weights of ${String(seed)}`], `inside ${String(seed)}`, [], `deep ${String(seed)}`),
        node('Relu', [`inside ${String(seed)}`], `out ${String(seed)}`),
      ],
      initializer: [tensorOf(`weights of ${String(seed)}`, [8, 8, 3, 3], seed)],
      input: [],
      valueInfo: [],
      output: [{ name: `out ${String(seed)}`, type: { tensorType: { elemType: DataType.FLOAT } } }],
    });
    const graphs = [branch(1), branch(2)].map((g, i) => ({
      ...{ name: i === 0 ? 'then_branch' : 'else_branch', type: AttributeType.GRAPH, g },
    }));
    const sketch = {
      input: [3, 8, 8],
      tensors: [
        tensorOf('first weights', [8, 3, 3, 3], 7),
        { name: 'which', dims: [], dataType: DataType.BOOL, rawData: Uint8Array.of(1) },
      ],
      nodes: [node('Conv', ['x', 'first weights'], 'c0', [], 'first'), node('If', ['which'], 'y', graphs, 'choice')],
    };
    const model = prepare(await build(sketch));
    const short = withShortNames(model);
    expect(await outputOf(short, sketch.input)).toEqual(await outputOf(model, sketch.input));
    for (const name of tensorsIn(short)) expect(name.length).toBeLessThanOrEqual(1);
  });

  it('are not given to what somebody asks for, nor given twice', async () => {
    const [, sketch] = Object.entries(TOPOLOGIES)[0] ?? [];
    if (sketch === undefined) throw new Error('no network');
    const model = prepare(await build(sketch));
    const [inner] = model.graph.node.flatMap(({ output }) => output).filter((name) => name !== 'y');
    if (inner === undefined) throw new Error('no inner tensor');
    // Short names that are taken already: `a` is asked for.
    const names = new Set(tensorsIn(withShortNames(model, [inner, 'a'])));
    expect(names.has(inner)).toBe(true);
    expect(names.has('a')).toBe(inner === 'a');
  });
});
