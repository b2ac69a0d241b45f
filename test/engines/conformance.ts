import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { matrix, type Engine, type Matrix } from '../../src/engines/index.js';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';

const at = (a: Matrix, i: number, j: number, transposed: boolean): number =>
  (transposed ? a.data[j * a.cols + i] : a.data[i * a.cols + j]) ?? NaN;

/** op(a) op(b) in double precision, entry by entry. */
function product(a: Matrix, b: Matrix, ta: boolean, tb: boolean): Float64Array {
  const [rows, inner] = ta ? [a.cols, a.rows] : [a.rows, a.cols];
  const cols = tb ? b.rows : b.cols;
  const out = new Float64Array(rows * cols);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += at(a, i, k, ta) * at(b, k, j, tb);
      out[i * cols + j] = sum;
    }
  }
  return out;
}

function worst(got: ArrayLike<number>, expected: Float64Array): number {
  expect(got.length).toBe(expected.length);
  let difference = 0;
  let scale = 0;
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs((got[i] ?? NaN) - (expected[i] ?? NaN)));
    scale = Math.max(scale, Math.abs(expected[i] ?? NaN));
  }
  return difference / (scale || 1);
}

/** What every engine must do. `check` runs after each engine was used, before it is disposed. */
export function conformance(name: string, create: () => Promise<Engine>, check: (engine: Engine) => void): void {
  describe(`engine ${name}`, () => {
    let engine: Engine;
    const random = seededRandom(7);
    const draw = (rows: number, cols: number): Matrix => matrix(rows, cols, normals(rows * cols, random));
    beforeAll(async () => {
      engine = await create();
    });
    afterAll(async () => {
      check(engine);
      await engine.dispose();
    });

    it.each([
      [1, 1, 1],
      [3, 5, 2],
      [64, 27, 33],
      [17, 300, 65],
    ])('multiplies %i x %i by %i columns with every transposition', async (rows, inner, cols) => {
      for (const ta of [false, true]) {
        for (const tb of [false, true]) {
          const a = ta ? draw(inner, rows) : draw(rows, inner);
          const b = tb ? draw(cols, inner) : draw(inner, cols);
          const got = await engine.multiply(a, b, { transposeA: ta, transposeB: tb });
          expect([got.rows, got.cols]).toEqual([rows, cols]);
          // sqrt(300) roundings of 6e-8, with room for the order of the sums
          expect(worst(got.data, product(a, b, ta, tb))).toBeLessThan(3e-6);
        }
      }
    });

    it('gives an empty sum for empty matrices', async () => {
      expect((await engine.multiply(matrix(2, 0), matrix(0, 3))).data).toEqual(new Float32Array(6));
      expect((await engine.multiply(matrix(0, 4), matrix(4, 3))).data.length).toBe(0);
    });

    it('refuses inner sizes that differ', async () => {
      await expect(engine.multiply(draw(2, 3), draw(2, 3))).rejects.toThrow(RangeError);
    });

    it('adds Gram matrices up in double precision, where single precision loses the sum', async () => {
      // 1e4 + tiny: over 40,000 rows of about 1e4, a float32 sum of squares is wrong in its fifth digit.
      const a = matrix(
        40_000,
        2,
        normals(80_000, random).map((x) => 100 + x),
      );
      const got = await engine.gram(a);
      expect(worst(got, product(a, a, true, false))).toBeLessThan(3e-7);
      expect(got[1]).toBe(got[2]);
    });

    it('computes cross Gram matrices', async () => {
      const a = draw(1100, 7);
      const b = draw(1100, 4);
      expect(worst(await engine.crossGram(a, b), product(a, b, true, false))).toBeLessThan(3e-6);
    });

    it('multiplies with held matrices, again and again', async () => {
      const a = draw(30, 20);
      const held = engine.hold(a);
      for (let i = 0; i < 3; i++) {
        const b = draw(30, 6);
        expect(
          worst((await engine.multiply(held, b, { transposeA: true })).data, product(a, b, true, false)),
        ).toBeLessThan(3e-6);
      }
      held.dispose();
    });

    it('gives the same result for the same operands', async () => {
      const a = draw(65, 130);
      expect((await engine.multiply(a, a, { transposeB: true })).data).toEqual(
        (await engine.multiply(a, a, { transposeB: true })).data,
      );
    });

    it('does not touch its operands', async () => {
      const a = draw(9, 9);
      const copy = Float32Array.from(a.data);
      await engine.gram(a);
      await engine.multiply(a, a);
      expect(a.data).toEqual(copy);
    });
  });
}
