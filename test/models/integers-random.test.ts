import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/compression/linalg/random.js';
import { integerLayers, toIntegers, type Range } from '../../src/models/index.js';
import { makeInt, makeInts } from '../../src/models/ir/attributes.js';
import type { NodeProto, TensorProto } from '../../src/models/ir/messages.js';
import { floatTensor, int64Tensor } from '../../src/models/ir/tensors.js';
import { node, tensorOf, type Sketch } from './graphs.js';
import { output, padded, rangesOf, readyFor, relativeError } from './integer-networks.js';

const NETWORKS = 80;
const INPUT = [4, 8, 8];

/** Layers with everything between them that moves, joins or changes values, in any order. */
function randomNetwork(seed: number): Sketch {
  const random = seededRandom(seed);
  const below = (n: number) => Math.floor(random() * n);
  const nodes: NodeProto[] = [];
  const tensors: TensorProto[] = [];
  let made = 0;
  const fresh = () => `t${String(made++)}`;
  const ints = (values: number[]): string => {
    const name = `i${String(tensors.length)}`;
    tensors.push(int64Tensor(name, [values.length], values));
    return name;
  };
  const emit = (op: string, inputs: string[], attributes = padded.slice(1)): string => {
    const name = fresh();
    nodes.push(node(op, inputs, name, attributes));
    return name;
  };
  let [channels = 4, height = 8, width = 8] = INPUT;
  let at = 'x';
  const conv = (from: string, outputs: number): string => {
    const weight = `w${String(tensors.length)}`;
    tensors.push(tensorOf(weight, [outputs, channels, 3, 3], seed + tensors.length));
    return emit('Conv', [from, weight], padded);
  };
  const kernel = [makeInts('kernel_shape', [2, 2]), makeInts('strides', [2, 2])];
  const steps: Record<string, () => void> = {
    conv: () => {
      at = conv(at, 6);
      channels = 6;
    },
    relu: () => (at = emit('Relu', [at])),
    sigmoid: () => (at = emit('Sigmoid', [at])),
    island: () => (at = emit('Softsign', [at])),
    maxPool: () => {
      if (height < 4 || width < 4) return;
      at = emit('MaxPool', [at], kernel);
      [height, width] = [Math.floor(height / 2), Math.floor(width / 2)];
    },
    averagePool: () => {
      if (height < 4 || width < 4) return;
      at = emit('AveragePool', [at], kernel);
      [height, width] = [Math.floor(height / 2), Math.floor(width / 2)];
    },
    transpose: () => {
      at = emit('Transpose', [at], [makeInts('perm', [0, 1, 3, 2])]);
      [height, width] = [width, height];
    },
    reshape: () => {
      at = emit('Reshape', [at, ints([0, channels, width, height])]);
      [height, width] = [width, height];
    },
    squeeze: () => (at = emit('Squeeze', [emit('Unsqueeze', [at, ints([2])]), ints([2])])),
    slice: () => {
      if (height < 3) return;
      at = emit('Slice', [at, ints([1]), ints([height]), ints([2])]);
      height -= 1;
    },
    pad: () => {
      at = emit('Pad', [at, ints([0, 0, 1, 0, 0, 0, 0, 1])]);
      [height, width] = [height + 1, width + 1];
    },
    gather: () => {
      at = emit('Gather', [at, ints([0, 2, 1])], [makeInt('axis', 1)]);
      channels = 3;
    },
    sum: () => {
      if (channels === 6) at = emit('Add', [at, conv(at, 6)]);
    },
    concat: () => {
      at = emit('Concat', [emit('Relu', [at]), conv(at, 5)], [makeInt('axis', 1)]);
      channels += 5;
    },
  };
  const kinds = Object.keys(steps);
  steps['conv']?.();
  for (let n = 3 + below(8); n > 0; n--) steps[kinds[below(kinds.length)] ?? '']?.();
  if (below(2) === 0) at = emit('GlobalAveragePool', [at]);
  const features = nodes.at(-1)?.opType === 'GlobalAveragePool' ? channels : channels * height * width;
  const flat = below(2) === 0 ? emit('Flatten', [at]) : emit('Reshape', [at, ints([0, -1])]);
  tensors.push(tensorOf('f', [5, features], seed), floatTensor('fb', [5], Float32Array.of(1, -1, 0.5, 0, 2)));
  nodes.push(node('Gemm', [flat, 'f', 'fb'], 'y', [makeInt('transB', 1)], 'classifier'));
  return { input: INPUT, nodes, tensors };
}

describe('networks of any form', () => {
  it.each(Array.from({ length: NETWORKS }, (_, seed) => seed + 1))(
    'compute the same with integers, whatever goes back to float: %i',
    async (seed) => {
      const sketch = randomNetwork(seed);
      const float = await readyFor(sketch);
      const ranges = await rangesOf(float, INPUT);
      const layers = integerLayers(float);
      const before = await output(float, INPUT, 8);
      const random = seededRandom(seed + 1000);
      const half = (): Set<string> => new Set(layers.filter(() => random() < 0.5));
      const choices = [new Set<string>(), ...layers.map((name) => new Set([name])), half(), half(), new Set(layers)];
      for (const leftFloat of choices) {
        const integers = toIntegers(float, { ranges, energies: new Map(), leftFloat });
        // A few roundings of some tenths of a percent each, more where layers follow each other.
        expect(relativeError(before, await output(integers, INPUT, 8))).toBeLessThan(0.1);
      }
      // Any tensor may turn out to have no range.
      const fewer = new Map<string, Range>([...ranges].filter(() => random() < 0.6));
      const integers = toIntegers(float, { ranges: fewer, energies: new Map(), leftFloat: half() });
      expect(relativeError(before, await output(integers, INPUT, 8))).toBeLessThan(0.1);
    },
  );
});
