import { describe, expect, it } from 'vitest';
import {
  placeholderIntegers,
  countIntegerLayers,
  readyForIntegers,
  prepare,
  toIntegers,
  type Model,
} from '../../src/models/index.js';
import { makeInt } from '../../src/models/ir/attributes.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import { build, node, tensorOf, type Sketch } from './graphs.js';
import { output, padded, rangesOf, readyFor, values } from './integer-networks.js';

const CHANNELS = 16;

/** Inputs that are positive, as behind a rectifier, so that rounding of weights shifts outputs. */
const network = (middle: Sketch['nodes'], tensors: Sketch['tensors']): Sketch => ({
  input: [CHANNELS, 6, 6],
  tensors: [tensorOf('one', [CHANNELS]), ...tensors],
  nodes: [node('Relu', ['x'], 'r'), ...middle],
});

const PLAIN = network(
  [node('Conv', ['r', 'w', 'b'], 'y', [], 'plain')],
  [tensorOf('w', [8, CHANNELS, 1, 1], 3), floatTensor('b', [8], new Float32Array(8))],
);
const DEPTHWISE = network(
  [
    node('Conv', ['r', 'd', 'one'], 'a', [makeInt('group', CHANNELS)], 'depthwise'),
    node('Conv', ['a', 'w', 'b'], 'y', [], 'plain'),
  ],
  [
    tensorOf('d', [CHANNELS, 1, 3, 3], 3),
    tensorOf('w', [8, CHANNELS, 1, 1], 4),
    floatTensor('b', [8], new Float32Array(8)),
  ],
);
/** The first factor has no bias. */
const FACTORS = network(
  [node('Conv', ['r', 'q'], 'low', [], 'low'), node('Conv', ['low', 'p', 'b'], 'y', [], 'lift')],
  [tensorOf('q', [3, CHANNELS, 1, 1], 3), tensorOf('p', [8, 3, 1, 1], 4), floatTensor('b', [8], new Float32Array(8))],
);

/** Mean of every output channel. */
function channelMeans(values: Float32Array, channels: number, places: number): number[] {
  const sums = new Array<number>(channels).fill(0);
  for (const [i, value] of values.entries()) {
    const channel = Math.floor(i / places) % channels;
    sums[channel] = (sums[channel] ?? 0) + value;
  }
  return sums.map((sum) => (sum * channels) / values.length);
}

async function meansOf(model: Model, names: readonly string[], input: number[]) {
  const found = await values(model, input, names);
  return new Map(
    names.map((name) => {
      const { dims = [], data } = found.get(name) ?? {};
      const channels = dims[1] ?? 1;
      const places = dims.slice(2).reduce((a, b) => a * b, 1);
      return [name, Float32Array.from(channelMeans(data as Float32Array, channels, places))];
    }),
  );
}

/** How far the means of the outputs lie from those without integers. */
async function shift(sketch: Sketch, inner: readonly string[], corrected: boolean): Promise<number> {
  const float = await readyFor(sketch);
  const ranges = await rangesOf(float, sketch.input);
  const means = corrected ? await meansOf(float, inner, sketch.input) : new Map<string, Float32Array>();
  const integers = toIntegers(float, { ranges, energies: new Map(), means });
  const [before, after] = [await output(float, sketch.input), await output(integers, sketch.input)];
  const places = before.length / (16 * 8);
  const [a, b] = [channelMeans(before, 8, places), channelMeans(after, 8, places)];
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - (b[i] ?? NaN)) ** 2, 0));
}

describe('biases make up for rounded weights', () => {
  it.each([
    ['a convolution', PLAIN, ['r']],
    ['a depthwise convolution before it', DEPTHWISE, ['r', 'a']],
    ['factors, the first without a bias', FACTORS, ['r', 'low']],
  ])('in the mean: %s', async (_, sketch, inner) => {
    const [plain, corrected] = [await shift(sketch, inner, false), await shift(sketch, inner, true)];
    expect(corrected).toBeLessThan(0.5 * plain);
  });
});

it('placeholders are as many integer layers as calibrated ones, and run', async () => {
  const sketch: Sketch = {
    input: [8, 6, 6],
    tensors: [tensorOf('w', [8, 8, 3, 3]), tensorOf('d', [8, 1, 3, 3], 3), tensorOf('v', [4, 8, 1, 1], 4)],
    nodes: [
      node('Conv', ['x', 'w'], 'a', padded, 'first'),
      node('Relu', ['a'], 'ar'),
      node('Conv', ['ar', 'd'], 'b', [...padded, makeInt('group', 8)], 'depthwise'),
      node('Conv', ['b', 'v'], 'y', [], 'last'),
    ],
  };
  const model = prepare(await build(sketch));
  const placeholders = placeholderIntegers(model);
  const float = readyForIntegers(model);
  const calibrated = toIntegers(float, { ranges: await rangesOf(float, sketch.input), energies: new Map() });
  expect(placeholders.graph.node.map(({ opType }) => opType)).toEqual(
    calibrated.graph.node.map(({ opType }) => opType),
  );
  expect(countIntegerLayers(placeholders)).toEqual({ integer: 3, all: 3 });
  expect((await output(placeholders, sketch.input)).length).toBe(16 * 4 * 36);
});
