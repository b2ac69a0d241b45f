import { describe, expect, it } from 'vitest';
import { matricesOf, Orthogonalizer, orthogonalWork, prepare, type MatrixSize } from '../../src/models/index.js';
import { makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { build, node, noise, tensorOf } from './graphs.js';

/** Of norm 1, with directions of very different sizes. */
function matrixOf([rows, columns]: MatrixSize, seed: number): Float32Array {
  const values = noise(rows * columns, seed).map((v, i) => v * 2 ** -(Math.floor(i / columns) % 6));
  const norm = Math.hypot(...values);
  return values.map((v) => v / norm);
}

const at = (m: Float64Array, i: number): number => m[i] ?? NaN;

/** The polynomial applied five times, in double precision, as it is written. */
function reference(matrix: Float32Array, [rows, columns]: MatrixSize): Float64Array {
  let x = Float64Array.from(matrix);
  for (let step = 0; step < 5; step++) {
    const products = new Float64Array(rows * rows);
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < rows; j++)
        for (let k = 0; k < columns; k++)
          products[i * rows + j] = at(products, i * rows + j) + at(x, i * columns + k) * at(x, j * columns + k);
    const change = products.map((value, at_) => {
      const [i, j] = [Math.floor(at_ / rows), at_ % rows];
      let squared = 0;
      for (let k = 0; k < rows; k++) squared += at(products, i * rows + k) * at(products, k * rows + j);
      return -4.775 * value + 2.0315 * squared;
    });
    x = x.map((value, at_) => {
      const [i, k] = [Math.floor(at_ / columns), at_ % columns];
      let sum = 3.4445 * value;
      for (let j = 0; j < rows; j++) sum += at(change, i * rows + j) * at(x, j * columns + k);
      return sum;
    });
  }
  return x;
}

const SIZES = new Map<string, MatrixSize>([
  ['square', [12, 12]],
  ['nearly', [12, 17]],
  ['broad', [8, 40]],
  ['tall', [40, 8]],
  ['two', [2, 3]],
]);

describe('matrices of directions', () => {
  it('become nearly orthonormal, the same whichever way they are computed', async () => {
    const matrices = new Map([...SIZES].map(([name, size], i) => [name, matrixOf(size, 30 + i)]));
    const orthogonalizer = await Orthogonalizer.open(SIZES, { threads: 1 });
    const found = await orthogonalizer.run(matrices);
    await orthogonalizer.release();
    expect([...found.keys()]).toEqual([...SIZES.keys()]);
    for (const [name, [rows, columns]] of SIZES) {
      const wanted = reference(matrices.get(name) ?? new Float32Array(), [rows, columns]);
      const values = found.get(name) ?? new Float32Array();
      expect(values.length).toBe(rows * columns);
      for (const [i, value] of values.entries()) expect(Math.abs(value - at(wanted, i))).toBeLessThan(2e-3);
      // The sum of the squares of singular values from 0.68 to 1.2.
      const squares = values.reduce((sum, v) => sum + v * v, 0) / Math.min(rows, columns);
      expect(squares).toBeGreaterThan(0.68 ** 2);
      expect(squares).toBeLessThan(1.21 ** 2);
    }
  });

  it('of zeros stay zeros', async () => {
    const sizes = new Map<string, MatrixSize>([
      ['square', [4, 4]],
      ['broad', [4, 16]],
    ]);
    const orthogonalizer = await Orthogonalizer.open(sizes, { threads: 1 });
    const found = await orthogonalizer.run(
      new Map([...sizes].map(([name, [r, c]]) => [name, new Float32Array(r * c)])),
    );
    await orthogonalizer.release();
    for (const values of found.values()) expect(values.every((v) => v === 0)).toBe(true);
  });

  it('may be none, and must all be given', async () => {
    const none = await Orthogonalizer.open(new Map(), { threads: 1 });
    expect((await none.run(new Map())).size).toBe(0);
    await none.release();
    const one = await Orthogonalizer.open(new Map([['w', [2, 2]]]), { threads: 1 });
    await expect(one.run(new Map())).rejects.toThrow('no matrix w');
    await one.release();
  });

  it('cost what the cheaper of both ways does, either way round', () => {
    expect(orthogonalWork([10, 10])).toBe(5 * 3 * 1000);
    expect(orthogonalWork([10, 100])).toBe(2 * 10_000 + 17 * 1000);
    expect(orthogonalWork([100, 10])).toBe(orthogonalWork([10, 100]));
  });

  it('are weights of layers whose outputs share their inputs', async () => {
    const model = prepare(
      await build({
        input: [8, 6, 6],
        tensors: [
          tensorOf('w', [6, 8, 3, 3], 1),
          tensorOf('b', [6], 2),
          tensorOf('deep', [6, 1, 3, 3], 3),
          tensorOf('one', [1, 6, 1, 1], 4),
        ],
        nodes: [
          node('Conv', ['x', 'w', 'b'], 'a', [makeInts('pads', [1, 1, 1, 1])], 'first'),
          node('Conv', ['a', 'deep'], 'c', [makeInt('group', 6)], 'second'),
          node('Conv', ['c', 'one'], 'y', [], 'third'),
        ],
      }),
    );
    const all = new Set(['w', 'b', 'deep', 'one']);
    expect(matricesOf(model, all)).toEqual(new Map([['w', [6, 72]]]));
    expect(matricesOf(model, new Set(['b', 'deep'])).size).toBe(0);
  });
});
