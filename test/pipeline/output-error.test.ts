import { describe, expect, it } from 'vitest';
import { holdsClasses } from '../../src/models/index.js';
import { makeInt, makeInts } from '../../src/models/ir/attributes.js';
import { int64Tensor } from '../../src/models/ir/tensors.js';
import { Agreement, OutputError } from '../../src/pipeline/network/compare/output-error.js';
import { SampledFidelity } from '../../src/pipeline/network/compare/sampled.js';
import { build, node, tensorOf, type Sketch } from '../models/graphs.js';

const tensor = (...values: number[]) => ({ dims: [1, values.length], data: Float32Array.from(values) });

describe('the error of outputs', () => {
  it('is the squared difference over the variance', () => {
    const error = new OutputError();
    error.add('y', tensor(1, 2, 3, 4), tensor(1, 2, 3, 5));
    expect(error.relative).toBeCloseTo(1 / 5, 6);
  });

  it('counts outputs alike, whatever their scale, and those that did not change as none', () => {
    const pair = new OutputError();
    pair.add('boxes', tensor(100, 200, 300, 400), tensor(100, 200, 300, 400));
    pair.add('scores', tensor(0.1, 0.2, 0.3, 0.4), tensor(0.1, 0.2, 0.3, 0.5));
    expect(pair.relative).toBeCloseTo(1 / 10, 6);
    const head = new OutputError(new Map(), ['boxes', 'scores']);
    head.add('scores', tensor(0.1, 0.2, 0.3, 0.4), tensor(0.1, 0.2, 0.3, 0.5));
    expect(head.relative).toBeCloseTo(1 / 10, 6);
  });

  it('counts the parts of a concatenation alike', () => {
    // Two samples of two boxes and two scores each, at one place.
    const of = (...values: number[]) => ({ dims: [2, 4, 1], data: Float32Array.from(values) });
    const before = of(100, 300, 0.1, 0.3, 200, 400, 0.2, 0.4);
    const after = of(100, 300, 0.1, 0.3, 200, 400, 0.2, 0.5);
    const parts = new Map([['y', { axis: 1, sizes: [2, 2] }]]);
    const error = new OutputError(parts);
    error.add('y', before, after);
    expect(error.relative).toBeCloseTo(1 / 10, 6);
    const whole = new OutputError();
    whole.add('y', before, after);
    expect(whole.relative).toBeLessThan(1e-6);
    const beside = new OutputError(parts, ['y', 'z']);
    beside.add('y', before, after);
    expect(beside.relative).toBeCloseTo(1 / 15, 6);
  });

  it('does not take the rounding of a constant output for a loss', () => {
    const error = new OutputError();
    error.add('anchors', tensor(8, 8, 8, 8), tensor(8, 8, 8, 8 + 1e-6));
    expect(error.relative).toBeLessThan(1e-6);
  });
});

describe('agreement', () => {
  it('is the share of rows with the same largest entry', () => {
    const agreement = new Agreement();
    agreement.add(
      { dims: [2, 2], data: Float32Array.of(1, 2, 3, 1) },
      { dims: [2, 2], data: Float32Array.of(1, 2, 1, 3) },
    );
    expect(agreement).toMatchObject({ agreeing: 1, rows: 2 });
    expect(new SampledFidelity(1, { parts: new Map(), axes: new Map() }).fidelity.top1_agreement).toBeNull();
  });

  const sequence = (...last: Sketch['nodes']): Sketch => ({
    input: [5, 4],
    tensors: [tensorOf('w', [4, 6]), int64Tensor('shape', [3], [0, -1, 6])],
    nodes: [node('MatMul', ['x', 'w'], 'm'), ...last],
  });

  it.each([
    ['a fully connected layer', sequence(node('Reshape', ['m', 'shape'], 'y')), true],
    ['a softmax over the last axis', sequence(node('Relu', ['m'], 'r'), node('Softmax', ['r'], 'y')), true],
    ['a softmax over another axis', sequence(node('Softmax', ['m'], 'y', [makeInt('axis', 1)])), false],
    ['a list put together', sequence(node('Concat', ['m', 'm'], 'y', [makeInt('axis', 1)])), false],
    ['a list turned', sequence(node('Transpose', ['m'], 'y', [makeInts('perm', [0, 2, 1])])), false],
  ])('of rows is asked behind %s: %#', async (_, sketch, expected) => {
    expect(holdsClasses(await build(sketch), 'y')).toBe(expected);
  });
});
