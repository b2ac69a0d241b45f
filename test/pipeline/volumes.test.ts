import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { makeInts } from '../../src/models/ir/attributes.js';
import { floatTensor } from '../../src/models/ir/tensors.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { node, noise, proto, scratch, tensorOf, writeProto, type Sketch } from '../models/graphs.js';
import { localOptions } from './network.js';

const SAMPLES = 128;

/** Weights [m, ...rest] of a rank, and noise of a fiftieth beside it. */
function planted(name: string, dims: number[], rank: number, seed: number) {
  const [m = 1, ...rest] = dims;
  const d = rest.reduce((a, b) => a * b, 1);
  const [p, q, beside] = [noise(m * rank, seed), noise(rank * d, seed + 1), noise(m * d, seed + 2)];
  const w = beside.map((v) => v / 50 / Math.sqrt(d));
  for (let i = 0; i < m; i++)
    for (let k = 0; k < rank; k++)
      for (let j = 0; j < d; j++) w[i * d + j] = w[i * d + j] + (2 * p[i * rank + k] * q[k * d + j]) / Math.sqrt(d);
  return floatTensor(name, dims, w);
}

const same = makeInts('pads', [1, 1, 1, 1, 1, 1]);
const two = makeInts('strides', [2, 2, 2]);

/** Down and up again, as networks for medical volumes are. */
const VOLUMES: Sketch = {
  input: [2, 6, 6, 8],
  tensors: [
    planted('w1', [24, 2, 3, 3, 3], 4, 3),
    tensorOf('b1', [24]),
    planted('w2', [32, 24, 3, 3, 3], 5, 13),
    tensorOf('b2', [32]),
    planted('w3', [32, 24, 2, 2, 2], 5, 23),
    tensorOf('b3', [24]),
    tensorOf('out', [3, 48, 1, 1, 1]),
  ],
  nodes: [
    node('Conv', ['x', 'w1', 'b1'], 'c1', [same], 'first'),
    node('Relu', ['c1'], 'a1'),
    node('Conv', ['a1', 'w2', 'b2'], 'c2', [same, two], 'down'),
    node('Relu', ['c2'], 'a2'),
    node('ConvTranspose', ['a2', 'w3', 'b3'], 'c3', [two], 'up'),
    node('Concat', ['a1', 'c3'], 'j', [{ name: 'axis', type: 2, i: 1 }]),
    node('Conv', ['j', 'out'], 'y', [], 'last'),
  ],
};

/** The same, but what `down` sees of its input is few functionals of the three places along the first axis. */
const SEPARABLE = VOLUMES.tensors.map((tensor) => (tensor.name === 'w2' ? separable('w2', 32, 24, 5) : tensor));

function separable(name: string, m: number, channels: number, seen: number) {
  const [before, behind] = [noise(seen * channels * 3, 5), noise(m * seen * 9, 6)];
  const w = new Float32Array(m * channels * 27);
  for (let i = 0; i < m; i++)
    for (let column = 0; column < channels * 3; column++)
      for (let tap = 0; tap < 9; tap++)
        for (let k = 0; k < seen; k++)
          w[(i * channels * 3 + column) * 9 + tap] +=
            (2 * before[k * channels * 3 + column] * behind[(i * seen + k) * 9 + tap]) / Math.sqrt(channels * 27);
  return floatTensor(name, [m, channels, 3, 3, 3], w);
}

async function compress(
  { method = {}, ...given }: Record<string, unknown> & { method?: object } = {},
  sketch: Sketch = VOLUMES,
) {
  const directory = scratch();
  const calibration = join(directory, 'calibration.npz');
  const values = SAMPLES * VOLUMES.input.reduce((a, b) => a * b, 1);
  await writeNpz(calibration, { x: { dims: [SAMPLES, ...VOLUMES.input], data: noise(values, 3) } });
  const files = { model: writeProto(proto(sketch), directory), calibration, evaluation: calibration };
  const whole = { target: { parameter_ratio: 3 }, ...given, method: { max_iterations: 6, samples: 2000, ...method } };
  return compressLocally({ ...localOptions(files, join(directory, 'out'), whole), evaluation: null });
}

describe('a network of volumes', () => {
  let result: Awaited<ReturnType<typeof compress>>;

  beforeAll(async () => {
    result = await compress();
  });

  it('has its convolutions of three axes compressed, at little loss on unseen samples', () => {
    expect(result.verdict.passed).toBe(true);
    expect(result.metrics.fidelity.relative_error).toBeLessThan(0.1);
    const decisions = new Map(result.layers.map(({ name, decision }) => [name, decision]));
    expect([decisions.get('down'), decisions.get('up')]).toEqual(['compressed', 'compressed']);
  });

  it('is counted in the ledger as in the file', () => {
    const sum = (what: 'parameters' | 'macs') => result.layers.reduce((all, row) => all + row[what].after, 0);
    expect(sum('parameters')).toBe(result.metrics.parameters.after);
    expect(sum('macs')).toBe(result.metrics.macs.after);
  });

  it('splits a layer that is of low rank along time alone, and then along the other two axes', async () => {
    const own = await compress({ target: { parameter_ratio: 1.5 } }, { ...VOLUMES, tensors: SEPARABLE });
    expect(own.layers.find(({ name }) => name === 'down')?.low_rank_shape).toBe('spatial');
    expect(own.metrics.fidelity.relative_error).toBeLessThan(0.1);
  });

  it.each(['channel', 'filter', 'column', 'block'])('can have sparse parts of the pattern %s', async (pattern) => {
    const method = { components: ['sparse'], pattern, layers: { include: ['down'], exclude: [] } };
    const own = await compress({ target: { parameter_ratio: 1.3 }, method });
    expect(own.layers.find(({ name }) => name === 'down')?.groups ?? 0).toBeGreaterThan(0);
  });

  it('is distilled, and computes with integers where that is asked for', async () => {
    const weights = { coding: 'static_int8', integer_layers: 'all' };
    const own = await compress({ method: { distillation_passes: 6, weights } });
    const { distillation, coding } = own.metrics;
    expect(distillation?.relative_error_after).toBeLessThan(distillation?.relative_error_before ?? 0);
    expect(coding?.integer_layers?.integer).toBeGreaterThan(0);
    expect(own.metrics.fidelity.relative_error).toBeLessThan(0.2);
  });
});
