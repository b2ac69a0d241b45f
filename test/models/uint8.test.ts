import { expect, it } from 'vitest';
import { codeWeights, prepare } from '../../src/models/index.js';
import { DataType } from '../../src/models/ir/messages.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import { batchOf, build, node, noise } from './graphs.js';
import { difference, run } from './tfjs/reference.js';

const [ROWS, COLUMNS] = [16, 24];

/** @param sizes of the rows of the weights */
async function coded(sizes: (row: number) => number) {
  const weights = noise(ROWS * COLUMNS, 3).map((v, i) => v * sizes(Math.floor(i / COLUMNS)));
  const model = prepare(
    await build({
      input: [COLUMNS, 4, 4],
      tensors: [floatTensor('w', [ROWS, COLUMNS, 1, 1], weights)],
      nodes: [node('Conv', ['x', 'w'], 'y', [], 'conv')],
    }),
  );
  const result = codeWeights(model, { coding: 'uint8', bits: 8 }, { energies: new Map(), random: () => Math.random });
  const x = batchOf([COLUMNS, 4, 4], 2);
  const [[was], [is]] = [await run(model, { x }), await run(result, { x })];
  if (was === undefined || is === undefined) throw new Error('no output');
  const expected = { dims: was.dims, data: was.data as Float32Array };
  const type = result.graph.initializer.find(({ dims }) => dims?.length === 4)?.dataType;
  return { type, difference: difference(is, expected) };
}

it('weights with rows of one size have 8 bits', async () => {
  const { type, difference: most } = await coded((row) => (row % 2 === 0 ? 1 : 0.5));
  expect(type).toBe(DataType.UINT8);
  expect(most).toBeLessThan(0.02);
});

it('those whose small rows would drown in a step for all of them have 16; rows of zeros do not count', async () => {
  expect((await coded((row) => 0.003 ** (row / ROWS))).type).toBe(DataType.FLOAT16);
  expect((await coded((row) => (row < 4 ? 0 : 1))).type).toBe(DataType.UINT8);
});
