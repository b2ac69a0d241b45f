import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { makeNode } from '../../src/models/ir/attributes.js';
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
