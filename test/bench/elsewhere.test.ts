import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readNpz } from '../../bench/elsewhere/npz.js';
import { guessTask, measureTask, relativeError, type Compared } from '../../bench/elsewhere/tasks.js';
import { writeNpz } from '../../src/datasets/write-npz.js';

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparank-elsewhere-test-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const output = (shape: number[], values: number[]) => [{ name: 'y', shape, data: Float32Array.from(values) }];
const compared = (shape: number[], a: number[], b: number[], data: Compared['data'] = new Map()): Compared => ({
  original: output(shape, a),
  compressed: output(shape, b),
  data,
});
const array = (shape: number[], values: number[]) => ({ shape, data: Float32Array.from(values) });

describe('the bench of networks from elsewhere', () => {
  it('reads what the product writes', async () => {
    const path = join(directory, 'data.npz');
    await writeNpz(path, { x: { dims: [2, 3], data: Float32Array.of(1, 2.5, -3, 4, 0, 6) } });
    expect(await readNpz(path)).toEqual(new Map([['x', array([2, 3], [1, 2.5, -3, 4, 0, 6])]]));
  });

  it('defines the relative error over the variance of the original', () => {
    expect(relativeError(compared([4, 1], [0, 0, 2, 2], [0, 1, 2, 2]))).toBeCloseTo(0.5, 12);
    expect(relativeError(compared([2, 1], [0, 2], [0, 2]))).toBe(0);
  });

  it('knows outputs with classes from labels or from probabilities, and takes other vectors for embeddings', () => {
    const scores = [0.9, 0.1, 0.2, 0.8];
    expect(guessTask(compared([2, 2], scores, scores)).kind).toBe('agreement');
    expect(guessTask(compared([2, 2], [3, -1, 2, 5], scores)).kind).toBe('cosine');
    expect(guessTask(compared([2, 2], [3, -1, 2, 5], scores, new Map([['y', array([2], [0, 1])]]))).kind).toBe(
      'accuracy',
    );
    expect(guessTask(compared([1, 2, 2], scores, scores)).kind).toBe('error');
  });

  it('counts accuracy without the samples that have no class', () => {
    const data = new Map([['y', array([3], [0, 1, -1])]]);
    const { values } = measureTask(
      { kind: 'accuracy' },
      compared([3, 2], [1, 0, 0, 1, 1, 0], [1, 0, 1, 0, 1, 0], data),
    );
    expect(values).toEqual({ before: 1, after: 0.5 });
  });

  it('counts the detections that are kept and those that are new', () => {
    const task = { kind: 'detections', column: 1, threshold: 0.7 } as const;
    const { values } = measureTask(task, compared([3, 2], [9, 0.8, 9, 0.9, 9, 0], [0, 0.8, 0, 0.1, 0, 0.9]));
    expect(values).toEqual({ found: 2, kept: 1, added: 1 });
  });

  it('measures pictures against each other and against the one that was wanted', () => {
    const data = new Map([['hr', array([1, 1, 2, 1], [0, 255])]]);
    const { values } = measureTask({ kind: 'psnr' }, compared([1, 1, 1, 2], [0, 0.9], [0.1, 0.9], data));
    expect(values['between']).toBeCloseTo(10 * Math.log10(2 / 0.01), 4);
    expect(values['before']).toBeCloseTo(10 * Math.log10(2 / 0.01), 4);
    expect(values['after']).toBeCloseTo(20, 4);
  });
});
