import { matrix, type Engine, type Matrix } from '../../engines/index.js';
import { PATTERN, type SparsePart } from '../../models/sparse/index.js';
import { channelColumns } from '../linalg/columns.js';

/** S x of inputs [N, d], without a bias: [N, m]. */
export async function sparseResponse(
  engine: Engine,
  { pattern, kept, weights }: SparsePart,
  inputs: Matrix,
  { m, taps }: { m: number; taps: number },
): Promise<Matrix> {
  const { stores, width } = PATTERN[pattern];
  if (stores === 'columns') {
    const columns = channelColumns(inputs, kept, width(taps));
    return engine.multiply(columns, matrix(m, columns.cols, weights), { transposeB: true });
  }
  if (stores === 'all') return engine.multiply(inputs, matrix(m, inputs.cols, weights), { transposeB: true });
  const rows = await engine.multiply(inputs, matrix(kept.length, inputs.cols, weights), { transposeB: true });
  const out = matrix(inputs.rows, m);
  for (let n = 0; n < out.rows; n++) {
    kept.forEach((row, i) => (out.data[n * m + row] = rows.data[n * kept.length + i]));
  }
  return out;
}
