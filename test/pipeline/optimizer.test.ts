import { describe, expect, it } from 'vitest';
import { orthogonalWork, type MatrixSize } from '../../src/models/index.js';
import { affordableMatrices, WeightOptimizer } from '../../src/pipeline/steps/assemble/optimizer.js';
import { noise } from '../models/graphs.js';

/** Steps until the loss || A (W - W') B ||² is a thousandth of what it was; A and B have very different directions. */
async function stepsTo(matrices: ReadonlyMap<string, MatrixSize>): Promise<number> {
  const [rows, columns] = [12, 20];
  const weights = noise(rows * columns, 1);
  const wanted = noise(rows * columns, 2);
  const ofRow = (i: number) => 10 ** (-(i % 6) / 2);
  const ofColumn = (j: number) => 10 ** (-(j % 4) / 2);
  const factors = weights.map((_, at) => (ofRow(Math.floor(at / columns)) * ofColumn(at % columns)) ** 2);
  const loss = () => weights.reduce((sum, w, i) => sum + (factors[i] ?? 0) * (w - (wanted[i] ?? 0)) ** 2, 0);
  const first = loss();
  const optimizer = await WeightOptimizer.open(new Map([['w', { data: weights, size: 1 }]]), { matrices, threads: 1 });
  const most = 400;
  let step = 0;
  for (; step < most && loss() > 1e-3 * first; step++) {
    const gradient = weights.map((w, i) => 2 * (factors[i] ?? 0) * (w - (wanted[i] ?? 0)));
    await optimizer.step(new Map([['w', gradient]]), 0.1 * (1 - step / most));
  }
  await optimizer.release();
  return step;
}

describe('the optimizer of distillation', () => {
  it('changes matrices by directions and everything else by entries, both to where the loss is small', async () => {
    const asMatrix = await stepsTo(new Map([['w', [12, 20]]]));
    const asNumbers = await stepsTo(new Map());
    expect(asMatrix).toBeLessThan(400);
    expect(asNumbers).toBeLessThan(400);
    expect(asMatrix).not.toBe(asNumbers);
  });

  it('takes the matrices that a step has time for, the cheapest first', () => {
    const sizes = new Map<string, MatrixSize>([
      ['huge', [4096, 4096]],
      ['small', [16, 16]],
      ['broad', [16, 144]],
    ]);
    const both = orthogonalWork([16, 16]) + orthogonalWork([16, 144]);
    expect(affordableMatrices(sizes, 4 * both)).toEqual({
      matrices: new Map([
        ['small', [16, 16]],
        ['broad', [16, 144]],
      ]),
      work: both,
    });
    expect([...affordableMatrices(sizes, 4 * both - 4).matrices.keys()]).toEqual(['small']);
    expect(affordableMatrices(sizes, 0)).toEqual({ matrices: new Map(), work: 0 });
    expect(affordableMatrices(sizes, 1e15).matrices.size).toBe(3);
  });
});
