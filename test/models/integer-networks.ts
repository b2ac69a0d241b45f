import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { expect } from 'vitest';
import {
  Histogram,
  integerTensors,
  prepare,
  readyForIntegers,
  Runner,
  saveModel,
  toIntegers,
  type Model,
  type Range,
} from '../../src/models/index.js';
import { makeInts } from '../../src/models/ir/attributes.js';
import { decodeModel } from '../../src/models/ir/codec.js';
import { batchOf, build, scratch, type Sketch } from './graphs.js';

export const padded = [makeInts('pads', [1, 1, 1, 1])];

export async function values(model: Model, input: number[], names: readonly string[], count = 16, seed = 5) {
  const inner = names.filter((name) => name !== 'x');
  const runner = await Runner.open(model, { threads: 1, capture: inner });
  try {
    const batch = batchOf(input, count, seed);
    return (await runner.run(batch)).set('x', batch);
  } finally {
    await runner.release();
  }
}

export async function output(model: Model, input: number[], count = 16, seed = 5): Promise<Float32Array> {
  return (await values(model, input, [], count, seed)).get('y')?.data as Float32Array;
}

export async function rangesOf(model: Model, input: number[]): Promise<Map<string, Range>> {
  const names = integerTensors(model);
  const found = await values(model, input, names);
  return new Map(
    names.map((name) => {
      const histogram = new Histogram();
      histogram.add(found.get(name)?.data as Float32Array);
      return [name, histogram.range ?? { low: NaN, high: NaN }];
    }),
  );
}

export const readyFor = async (sketch: Sketch) => readyForIntegers(prepare(await build(sketch)));

export async function integersOf(sketch: Sketch, leftFloat = new Set<string>()) {
  const float = await readyFor(sketch);
  const ranges = await rangesOf(float, sketch.input);
  return { float, ranges, integers: toIntegers(float, { ranges, energies: new Map(), leftFloat }) };
}

/** Root mean square of the difference, over that of the first. */
export function relativeError(a: Float32Array, b: Float32Array): number {
  expect(b.length).toBe(a.length);
  const squares = (f: (i: number) => number) => a.reduce((sum, _, i) => sum + f(i) ** 2, 0);
  return Math.sqrt(squares((i) => (a[i] ?? 0) - (b[i] ?? NaN)) / squares((i) => a[i] ?? 0));
}

/** Operators of the network as ONNX Runtime runs it. */
export async function fused(model: Model): Promise<string[]> {
  const directory = scratch();
  const [path, optimized] = [join(directory, 'model.onnx'), join(directory, 'optimized.onnx')];
  await saveModel(model, path);
  const session = await InferenceSession.create(path, {
    optimizedModelFilePath: optimized,
    graphOptimizationLevel: 'extended',
    logSeverityLevel: 3,
  });
  await session.release();
  return decodeModel(readFileSync(optimized)).graph?.node.map(({ opType }) => opType) ?? [];
}
