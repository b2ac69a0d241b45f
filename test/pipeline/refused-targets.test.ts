import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { InputError } from '../../src/errors/index.js';
import { makeInts, makeNode } from '../../src/models/ir/attributes.js';
import { AttributeType, DataType, type GraphProto, type NodeProto } from '../../src/models/ir/messages.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { node, noise, proto, scratch, tensorOf, writeProto } from '../models/graphs.js';
import { localOptions } from './network.js';

const INPUT = [4, 6, 6];
const pads = [makeInts('pads', [1, 1, 1, 1])];

/** One layer of 148 parameters, and behind it what cannot be compressed. */
async function refusal(behind: NodeProto[], tensors: ReturnType<typeof tensorOf>[]): Promise<InputError> {
  const directory = scratch();
  const model = proto({
    input: INPUT,
    tensors: [tensorOf('w', [4, 4, 3, 3]), tensorOf('b', [4]), ...tensors],
    nodes: [node('Conv', ['x', 'w', 'b'], 'c', pads, 'conv'), ...behind],
  });
  model.opsetImport.push({ domain: 'com.microsoft', version: 1 });
  const calibration = join(directory, 'calibration.npz');
  await writeNpz(calibration, { x: { dims: [8, ...INPUT], data: noise(8 * 144) } });
  const files = { model: writeProto(model, directory), calibration, evaluation: calibration };
  const options = localOptions(files, join(directory, 'out'), { target: { parameter_ratio: 2 } });
  const error: unknown = await compressLocally({ ...options, evaluation: null }).catch((cause: unknown) => cause);
  if (!(error instanceof InputError)) throw new Error('the target was not refused', { cause: error });
  return error;
}

it('a target that weights of another domain rule out is refused, with what is possible', async () => {
  const fused = { ...node('FusedConv', ['c', 'v'], 'y', pads, 'fused'), domain: 'com.microsoft' };
  const { code, message, faults } = await refusal([fused], [tensorOf('v', [4, 4, 3, 3], 4)]);
  expect(code).toBe('unreachable_target');
  // 148 + 144 parameters; at rank 1, 4 + 9 + 4 + 4 of the layer are left.
  expect(message).toContain(
    'with every layer at its smallest it is 1.77; 144 of 292 parameters are in layers that stay dense (fused: fused convolution (com.microsoft::FusedConv))',
  );
  expect(faults).toEqual([{ pointer: '/target/parameter_ratio', detail: 'at most 1.77' }]);
});

it('a target that weights in a subgraph rule out is refused, and says that they are in no layer', async () => {
  const branch = (name: string, weight: string): GraphProto => ({
    ...{ name, input: [], valueInfo: [], output: [{ name: `${name}_y` }] },
    node: [node('Conv', ['c', weight], `${name}_y`, pads)],
    initializer: [tensorOf(weight, [4, 4, 3, 3], 6)],
  });
  const choice = makeNode(
    'If',
    'if',
    ['yes'],
    ['y'],
    [
      { name: 'then_branch', type: AttributeType.GRAPH, g: branch('then', 'v1') },
      { name: 'else_branch', type: AttributeType.GRAPH, g: branch('else', 'v2') },
    ],
  );
  const yes = { name: 'yes', dims: [], dataType: DataType.BOOL, rawData: Uint8Array.of(1) };
  const { message } = await refusal([choice], [yes]);
  expect(message).toContain('; 288 of 436 parameters are outside of layers (in subgraphs or in other operators)');
});
