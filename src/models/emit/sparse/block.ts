import { blocksOf } from '../../sparse/index.js';
import { makeInt, makeInts, makeNode } from '../../ir/attributes.js';
import type { SparseEmitter } from './emitter.js';
import { checkKept } from './kept.js';
import { withZeros } from './with-zeros.js';

/** One convolution in groups: every block of outputs has its own inputs side by side. */
export const block: SparseEmitter = (b, part, bias, to) => {
  const { kept, weights } = part;
  const { m, channels, input, op, kernel, name } = b.layer;
  const { taps } = b;
  // A product of more than two dimensions has no groups.
  if (op === 'MatMul') return withZeros(b, part, bias, to);
  b.check(weights.length, m * channels * taps, 'sparse weights');
  const size = blocksOf(b.layer);
  const perRow = kept.length / size.rows;
  checkKept(name, kept, size.rows * size.columns, 'blocks');
  const width = perRow * size.inputs;
  const order: number[] = [];
  const compact = new Float32Array(m * width * taps);
  kept.forEach((index, i) => {
    const row = Math.floor(index / size.columns);
    if (row !== Math.floor(i / perRow)) throw new RangeError(`${name}: every block of outputs keeps as many blocks`);
    const from = (index % size.columns) * size.inputs;
    for (let c = 0; c < size.inputs; c++) order.push(from + c);
    for (let o = row * size.outputs; o < (row + 1) * size.outputs; o++) {
      const at = (o * channels + from) * taps;
      const values = weights.subarray(at, at + size.inputs * taps);
      compact.set(values, (o * width + (i % perRow) * size.inputs) * taps);
    }
  });
  const gathered = b.fresh('kept');
  const nodes = [b.gather(input, order, gathered)];
  const axes = op === 'Conv' ? kernel : [1];
  const inputs = (from: string) => [
    from,
    b.tensor('sparse_weight', [m, width, ...axes], compact),
    ...(bias === null ? [] : [b.tensor('sparse_bias', [m], bias)]),
  ];
  const group = makeInt('group', size.rows);
  if (op === 'Conv') {
    nodes.push(makeNode('Conv', b.fresh('sparse'), inputs(gathered), [to], [...b.geometry(), group]));
    return nodes;
  }
  const [line, summed] = [b.fresh('line'), b.fresh('line_sum')];
  nodes.push(
    makeNode('Reshape', b.fresh('to_line'), [gathered, b.integers('line_shape', [0, -1, 1])], [line]),
    makeNode('Conv', b.fresh('sparse'), inputs(line), [summed], [makeInts('kernel_shape', [1]), group]),
    makeNode('Reshape', b.fresh('from_line'), [summed, b.integers('row_shape', [0, -1])], [to]),
  );
  return nodes;
};
