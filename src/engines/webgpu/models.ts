import { modelBytes, type Node, type Value } from '../onnxruntime/graph-bytes.js';

/** B = A, on the device: what a session gives as a GPU buffer can be given to others. */
export function copyModel(): Uint8Array {
  return modelBytes(
    [['A', 'rows', 'cols']],
    [['B', 'rows', 'cols']],
    [{ operator: 'Identity', inputs: ['A'], output: 'B' }],
  );
}

/**
 * C = op(A) op(B). The runtime's Gemm of a transposed B had a fifth of the rate of the others on an H200: B is turned
 * first.
 */
export function deviceProductModel(transposeA: boolean, transposeB: boolean): Uint8Array {
  const turned: Node[] = transposeB ? [{ operator: 'Transpose', inputs: ['B'], output: 'turned' }] : [];
  return modelBytes(
    [
      transposeA ? ['A', 'inner', 'rows'] : ['A', 'rows', 'inner'],
      transposeB ? ['B', 'cols', 'inner'] : ['B', 'inner', 'cols'],
    ],
    [['C', 'rows', 'cols']],
    [
      ...turned,
      { operator: 'Gemm', inputs: ['A', transposeB ? 'turned' : 'B'], output: 'C', flags: { transA: transposeA } },
    ],
  );
}

const A: Value = ['A', 'inner', 'rows'];
const B: Value = ['B', 'inner', 'cols'];
const PAIR: readonly Value[] = [
  ['sum', 'rows', 'cols'],
  ['rest', 'rows', 'cols'],
];
const operation = (operator: string, a: string, b: string, output: string): Node => ({
  operator,
  inputs: [a, b],
  output,
});
const product = (output: string): Node => ({ operator: 'Gemm', inputs: ['A', 'B'], output, flags: { transA: true } });

/** Aᵀ B as a pair of floats that have yet to be added, the second one zero. */
export function beginSumModel(): Uint8Array {
  return modelBytes([A, B], PAIR, [product('sum'), operation('Sub', 'sum', 'sum', 'rest')]);
}

/**
 * The pair `high`, `low` plus Aᵀ B, as a pair again: Knuth's two-sum keeps what single precision rounds away. Every
 * operator is a program of its own on the device, so that no compiler sees the whole and simplifies it.
 */
export function addToSumModel(): Uint8Array {
  const inputs: Value[] = [A, B, ['high', 'rows', 'cols'], ['low', 'rows', 'cols']];
  return modelBytes(inputs, PAIR, [
    product('part'),
    operation('Add', 'high', 'part', 'sum'),
    operation('Sub', 'sum', 'high', 'partKept'),
    operation('Sub', 'sum', 'partKept', 'highKept'),
    operation('Sub', 'part', 'partKept', 'partLost'),
    operation('Sub', 'high', 'highKept', 'highLost'),
    operation('Add', 'partLost', 'highLost', 'lost'),
    operation('Add', 'low', 'lost', 'rest'),
  ]);
}
