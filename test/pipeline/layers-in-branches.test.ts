import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { makeInts, makeNode } from '../../src/models/ir/attributes.js';
import { AttributeType, DataType, type GraphProto } from '../../src/models/ir/messages.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { batchOf, node, proto, scratch, tensorOf, writeProto } from '../models/graphs.js';
import { localOptions } from './network.js';

const branch = (seed: number): GraphProto => ({
  name: `branch${String(seed)}`,
  node: [node('Conv', ['x', `w${String(seed)}`], `c${String(seed)}`)],
  initializer: [tensorOf(`w${String(seed)}`, [8, 3, 3, 3], seed)],
  input: [],
  valueInfo: [],
  output: [{ name: `c${String(seed)}`, type: { tensorType: { elemType: DataType.FLOAT } } }],
});

/** Reads a map of eight channels. */
const inner = (seed: number): GraphProto => ({
  ...branch(seed),
  node: [node('Conv', ['c0', `w${String(seed)}`], `c${String(seed)}`, [], `deep${String(seed)}`)],
  initializer: [tensorOf(`w${String(seed)}`, [8, 8, 3, 3], seed)],
});

it('a network with all layers in the branches of an If is refused by that name', async () => {
  const model = proto({
    input: [3, 8, 8],
    tensors: [{ name: 'yes', dims: [], dataType: DataType.BOOL, rawData: Uint8Array.of(1) }],
    nodes: [
      makeNode(
        'If',
        'rate',
        ['yes'],
        ['y'],
        [
          { name: 'then_branch', type: AttributeType.GRAPH, g: branch(1) },
          { name: 'else_branch', type: AttributeType.GRAPH, g: branch(2) },
        ],
      ),
    ],
  });
  const calibration = join(scratch(), 'x.npz');
  await writeNpz(calibration, { x: batchOf([3, 8, 8], 32) });
  const files = { model: writeProto(model), calibration, evaluation: calibration };
  await expect(compressLocally(localOptions(files, scratch(), { target: { parameter_ratio: 2 } }))).rejects.toThrow(
    /all its layers lie in the branches or the body of If, which stay as they are: export the branch that is used/,
  );
});

it('layers in branches beside others are counted and named, and stay as they are', async () => {
  const rate = makeNode(
    'If',
    'rate',
    ['yes'],
    ['y'],
    [
      { name: 'then_branch', type: AttributeType.GRAPH, g: inner(1) },
      { name: 'else_branch', type: AttributeType.GRAPH, g: inner(2) },
    ],
  );
  const weights = [
    tensorOf('w0', [8, 3, 3, 3], 7),
    { name: 'yes', dims: [], dataType: DataType.BOOL, rawData: Uint8Array.of(1) },
  ];
  const conv = node('Conv', ['x', 'w0'], 'c0', [makeInts('pads', [1, 1, 1, 1])], 'first');
  const model = proto({ input: [3, 8, 8], tensors: weights, nodes: [conv, rate] });
  const calibration = join(scratch(), 'x.npz');
  await writeNpz(calibration, { x: batchOf([3, 8, 8], 32) });
  const files = { model: writeProto(model), calibration, evaluation: calibration };
  const given = { target: { parameter_ratio: 1.02 }, benchmark: { batch_sizes: [1] } };
  const { metrics, verdict, layers } = await compressLocally(localOptions(files, scratch(), given));
  // 216 of the first layer, twice 8 x 8 x 9 inside.
  expect(metrics.parameters.before).toBe(216 + 2 * 576);
  expect(metrics.parameters.after).toBeGreaterThanOrEqual(2 * 576);
  expect(layers.map(({ name }) => name)).toEqual(['first']);
  const told = verdict.warnings?.find(({ code }) => code === 'layers_in_branches');
  expect(told?.cause).toBe(
    "2 layers lie in the branches or the body of If and stay as they are, with 1,152 parameters, 84.21 % of the network's: deep1, deep2",
  );
});
