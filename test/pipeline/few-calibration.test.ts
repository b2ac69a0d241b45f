import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeNpz } from '../../src/datasets/index.js';
import { compressLocally } from '../../src/pipeline/local.js';
import { node, noise, proto, scratch, tensorOf, writeProto } from '../models/graphs.js';
import { localOptions } from './network.js';

const WIDTH = 48;

/** Two fully connected layers whose weights have no smaller form, and inputs of all directions. */
const network = () =>
  proto({
    input: [WIDTH],
    output: 'y',
    tensors: [tensorOf('w0', [WIDTH, 64]), tensorOf('w1', [64, 40])],
    nodes: [
      node('MatMul', ['x', 'w0'], 'h', [], 'first'),
      node('Relu', ['h'], 'a'),
      node('MatMul', ['a', 'w1'], 'y', [], 'second'),
    ],
  });

/** Samples that are mixtures of so many directions. */
function mixtures(count: number, directions: number): { dims: number[]; data: Float32Array } {
  const basis = noise(directions * WIDTH, 5);
  const shares = noise(count * directions, 100 + count);
  const data = new Float32Array(count * WIDTH);
  for (let i = 0; i < count; i++)
    for (let k = 0; k < directions; k++)
      for (let j = 0; j < WIDTH; j++)
        data[i * WIDTH + j] =
          (data[i * WIDTH + j] ?? 0) + (shares[i * directions + k] ?? 0) * (basis[k * WIDTH + j] ?? 0);
  return { dims: [count, WIDTH], data };
}

interface Samples {
  count: number;
  directions: number;
}

/** Codes of the warnings of a job, and what is said of calibration samples. */
async function warned(calibration: Samples, evaluation: Samples | null) {
  const directory = scratch();
  const written = async (name: string, { count, directions }: Samples) => {
    const path = join(directory, `${name}.npz`);
    await writeNpz(path, { x: mixtures(count, directions) });
    return path;
  };
  const files = {
    model: writeProto(network(), directory),
    calibration: await written('calibration', calibration),
    evaluation: await written('evaluation', evaluation ?? { count: 2, directions: 2 }),
  };
  const given = { target: { parameter_ratio: 2 }, benchmark: { batch_sizes: [1] } };
  const options = localOptions(files, scratch(), given);
  const { verdict } = await compressLocally(evaluation === null ? { ...options, evaluation: null } : options);
  const codes = (verdict.warnings ?? []).map(({ code }) => code);
  return { codes, cause: verdict.warnings?.find(({ code }) => code === 'few_calibration_samples')?.cause };
}

it('outputs that moved only on what calibration does not show: it is said so', async () => {
  const { codes, cause } = await warned({ count: 100, directions: 6 }, { count: 200, directions: WIDTH });
  expect(codes).toContain('outputs_moved');
  const [fitted = NaN, unseen = NaN] =
    /the outputs lie ([\d.]+) .* on others ([\d.]+): 100 samples to fit on/
      .exec(cause ?? '')
      ?.slice(1)
      .map(Number) ?? [];
  expect(fitted).toBeLessThan(unseen / 2);
});

it.each([{ evaluation: { count: 200, directions: WIDTH } }, { evaluation: null }])(
  'outputs that moved everywhere: calibration is not blamed (evaluation data: $evaluation)',
  async ({ evaluation }) => {
    const { codes } = await warned({ count: 1000, directions: WIDTH }, evaluation);
    expect(codes).toContain('outputs_moved');
    expect(codes).not.toContain('few_calibration_samples');
  },
);
