import { modelBytes } from './graph-bytes.js';

/** One Gemm node, C = op(A) op(B). */
export function productModel(transposeA: boolean, transposeB: boolean): Uint8Array {
  return modelBytes(
    [
      transposeA ? ['A', 'inner', 'rows'] : ['A', 'rows', 'inner'],
      transposeB ? ['B', 'cols', 'inner'] : ['B', 'inner', 'cols'],
    ],
    [['C', 'rows', 'cols']],
    [{ operator: 'Gemm', inputs: ['A', 'B'], output: 'C', flags: { transA: transposeA, transB: transposeB } }],
  );
}
