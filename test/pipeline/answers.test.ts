import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { normals, seededRandom } from '../../src/compression/linalg/random.js';
import { openDataset, writeNpz } from '../../src/datasets/index.js';
import type { Answers } from '../../src/jobs/results.js';
import { resolveSpec } from '../../src/jobs/resolve-spec.js';
import { loadModel, type Model } from '../../src/models/index.js';
import { DataType, type ModelProto } from '../../src/models/ir/messages.js';
import { floatTensor, int64Tensor } from '../../src/models/ir/tensors.js';
import { AnswersLook } from '../../src/pipeline/network/compare/answers.js';
import { compareModels } from '../../src/pipeline/network/compare/compare.js';
import { askedAnswers } from '../../src/pipeline/network/quality.js';
import { LIMITS, node, noise, proto, scratch, tensorOf, writeProto, type Sketch } from '../models/graphs.js';

const ROWS = 60;

function lookedAt(width: number, row: (index: number, noise: Float32Array) => number[]): Answers {
  const random = seededRandom(4);
  const look = new AnswersLook();
  for (let i = 0; i < ROWS; i++)
    look.add({ dims: [1, width], data: Float32Array.from(row(i, normals(width, random))) });
  return look.answers;
}

const scores = (size: number) => (i: number, noise: Float32Array) =>
  Array.from(noise, (value, k) => value + (k === i % noise.length ? size : 0));

describe('what rows of numbers are taken for by their values', () => {
  it.each([
    ['logits of a trained classifier', 10, scores(8), 'classes', 'values'],
    ['logits of one of two classes', 2, scores(5), 'classes', 'values'],
    ['logits of a classifier that is not sure', 10, scores(1.5), 'classes', 'assumed'],
    // Most of the samples are of one class.
    ['logits of a detector of what is rare', 2, (i, n) => scores(6)(i % 20 === 0 ? 1 : 0, n), 'classes', 'assumed'],
    ['probabilities', 3, (i) => (i % 2 === 0 ? [0.5, 0.25, 0.25] : [0, 0.75, 0.25]), 'classes', 'values'],
    [
      'marks from 1 to 5, of different kinds',
      3,
      (_, n) => [3.2, 3.9, 2.8].map((x, k) => x + 0.3 * (n[k] ?? 0)),
      'numbers',
      'values',
    ],
    ['landmarks in pixels', 20, (_, n) => Array.from(n, (x, k) => 5 * k - 20 + x), 'numbers', 'values'],
    ['offsets of a box', 4, (_, n) => Array.from(n, (x) => 0.1 * x), 'numbers', 'assumed'],
    ['an embedding of length 1', 64, (_, n) => Array.from(n, (x) => x / 8), 'numbers', 'assumed'],
  ] as [string, number, (i: number, noise: Float32Array) => number[], string, string][])(
    '%s',
    (_, width, row, are, by) => {
      expect(lookedAt(width, row)).toEqual({ are, known_by: by });
    },
  );
});

describe('what the first output of a network is taken for', () => {
  /** A fully connected layer whose weights have this size, and what is behind it; outputs in this order. */
  async function network(size: number, last: Sketch['nodes'] = [], outputs = ['y']): Promise<Model> {
    const weights = floatTensor(
      'w',
      [4, 3],
      noise(12).map((value) => size * value),
    );
    const { graph, ...rest } = proto({
      input: [4],
      tensors: [weights, tensorOf('v', [4, 2]), int64Tensor('axes', [1], [2])],
      nodes: [node('MatMul', ['x', 'w'], 'y'), ...last],
    });
    const output = outputs.map((name) => ({ name, type: { tensorType: { elemType: DataType.FLOAT } } }));
    const directory = scratch();
    const path = writeProto({ ...rest, graph: { ...graph, output } } as ModelProto, directory);
    return loadModel(path, { directory, limits: LIMITS });
  }

  async function compared(model: Model, given: { labels?: boolean; answers?: Answers['are'] } = {}) {
    const directory = scratch();
    const path = join(directory, 'data.npz');
    const x = { dims: [ROWS, 4], data: normals(ROWS * 4, seededRandom(9)) };
    const y = { dims: [ROWS], data: Int32Array.from({ length: ROWS }, (_, i) => i % 3) };
    await writeNpz(path, given.labels === true ? { x, y } : { x });
    const limits = { maxArchiveEntries: 9, maxArchiveRatio: 100, maxSamples: 99, maxModelBytes: LIMITS.maxModelBytes };
    const data = await openDataset(path, { directory, limits });
    try {
      const context = { threads: 1, signal: new AbortController().signal };
      const options = { context, batch: 32, answers: given.answers, progress: () => undefined };
      const [found] = await compareModels(model, [model], data, options);
      return found?.fidelity;
    } finally {
      await data.close();
    }
  }

  it('is classes behind a softmax, with labels, or where the client says so', async () => {
    const softmax = await network(0.01, [node('Softmax', ['y'], 'z')], ['z']);
    expect(await compared(softmax)).toMatchObject({
      top1_agreement: 1,
      answers: { are: 'classes', known_by: 'graph' },
    });
    const plain = await network(0.01);
    expect(await compared(plain, { labels: true })).toMatchObject({
      ...{ top1_agreement: 1, answers: { are: 'classes', known_by: 'labels' } },
    });
    expect(await compared(plain, { answers: 'classes' })).toMatchObject({
      ...{ top1_agreement: 1, answers: { are: 'classes', known_by: 'asked' } },
    });
  });

  it('is numbers, without an agreement, where values, the client or another output say so', async () => {
    const numbers = await compared(await network(0.01));
    expect(numbers).toMatchObject({ top1_agreement: null, answers: { are: 'numbers', known_by: 'assumed' } });
    expect(numbers).not.toHaveProperty('top1_agreement_ci95');
    expect(await compared(await network(9), { answers: 'numbers' })).toMatchObject({
      ...{ top1_agreement: null, answers: { are: 'numbers', known_by: 'asked' } },
    });
    const beside = [node('MatMul', ['x', 'v'], 'u'), node('Softmax', ['u'], 'z')];
    expect(await compared(await network(9, beside, ['y', 'z']))).toMatchObject({
      ...{ top1_agreement: null, answers: { are: 'numbers', known_by: 'graph' } },
    });
  });

  it('is not asked of a map', async () => {
    const fidelity = await compared(
      await network(9, [node('Relu', ['y'], 'r'), node('Unsqueeze', ['r', 'axes'], 'z')], ['z']),
    );
    expect(fidelity).toMatchObject({ top1_agreement: null });
    expect(fidelity).not.toHaveProperty('answers');
  });
});

it('is classes for who asks for the same answers, in any of the targets', () => {
  const source = { upload: 'upl_test' };
  const asked = (given: Record<string, unknown>) =>
    askedAnswers(resolveSpec({ model: source, calibration: source, evaluation: source, ...given }));
  expect(asked({ target: { parameter_ratio: 2 } })).toBeUndefined();
  expect(asked({ target: { parameter_ratio: 2 }, answers: 'numbers' })).toBe('numbers');
  expect(asked({ target: { min_agreement: 0.9 } })).toBe('classes');
  expect(asked({ target: { parameter_ratio: 2 }, constraints: { max_accuracy_drop: 0.1 } })).toBe('classes');
  expect(asked({ targets: [{ parameter_ratio: 2 }, { min_agreement: 0.9 }] })).toBe('classes');
});

it('numbers with a wish that only classes can have are refused', () => {
  const source = { upload: 'upl_test' };
  const given = { model: source, calibration: source, evaluation: source, answers: 'numbers' };
  for (const wishes of [
    { target: { min_agreement: 0.9 } },
    { targets: [{ parameter_ratio: 2 }, { max_accuracy_drop: 0.01 }] },
    { target: { parameter_ratio: 2 }, constraints: { min_agreement: 0.9 } },
  ])
    expect(() => resolveSpec({ ...given, ...wishes })).toThrow(/^\/answers must be classes, or left out, for m/);
  const constraints = { max_relative_error: 0.1 };
  expect(resolveSpec({ ...given, target: { parameter_ratio: 2 }, constraints }).answers).toBe('numbers');
});
