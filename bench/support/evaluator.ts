/**
 * One evaluator for every way of compressing: all files are run by the same ONNX Runtime, on the same data, in turn.
 */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../src/config/index.js';
import { openDataset, type Dataset } from '../../src/datasets/index.js';
import { inputNames, listLayers, loadModel, prepare, Runner, type Model } from '../../src/models/index.js';
import { stepLimits } from '../../src/worker/limits.js';
import { median } from './numbers.js';

export interface Measured {
  parameters: number;
  /** Multiply-accumulates of one sample. */
  macs: number;
  bytes: number;
  /** Share of the evaluation samples whose class is found. */
  accuracy: number;
  /** By batch size: median milliseconds, and the median over all rounds of the first model's time over this one's. */
  latency: { batch: number; ms: number; speedup: number }[];
}

export interface EvaluatorOptions {
  /** Labelled samples. */
  evaluation: string;
  threads: number;
  batches: readonly number[];
  /** Of the latency measurement. Every round runs every model once. */
  rounds: number;
}

const WARMUP_ROUNDS = 3;
const ACCURACY_BATCH = 50;

interface Loaded {
  runner: Runner;
  counted: Pick<Measured, 'parameters' | 'macs' | 'bytes'>;
}

/** Measures the models of `paths`; the first one is what the others are compared with. */
export async function evaluateModels(paths: readonly string[], options: EvaluatorOptions): Promise<Measured[]> {
  const limits = stepLimits(readConfig({}));
  const directory = await mkdtemp(join(tmpdir(), 'sparank-bench-evaluator-'));
  const loaded: Loaded[] = [];
  try {
    const [first = ''] = paths;
    const data = await openDataset(options.evaluation, {
      directory,
      limits: { ...limits, maxSamples: limits.maxCalibrationSamples },
      inputs: inputNames(await loadModel(first, { directory, limits })),
    });
    try {
      for (const path of paths) {
        const model = await loadModel(path, { directory, limits });
        const counted = { ...(await weigh(model, data, options.threads)), bytes: (await stat(path)).size };
        loaded.push({ runner: await Runner.open(model, options), counted });
      }
      const accuracies: number[] = [];
      for (const { runner } of loaded) accuracies.push(await accuracyOf(runner, data));
      const times: number[][][] = [];
      for (const batch of options.batches) times.push(await timeInTurn(loaded, data, batch, options.rounds));
      return loaded.map(({ counted }, i) => ({
        ...counted,
        accuracy: accuracies[i] ?? NaN,
        latency: options.batches.map((batch, b) => {
          const first = times[b]?.[0] ?? [];
          const own = times[b]?.[i] ?? [];
          const ratios = own.map((ms, round) => (first[round] ?? NaN) / ms);
          return { batch, ms: median(own), speedup: median(ratios) };
        }),
      }));
    } finally {
      await data.close();
    }
  } finally {
    for (const { runner } of loaded) await runner.release();
    await rm(directory, { recursive: true, force: true });
  }
}

async function weigh(model: Model, data: Dataset, threads: number): Promise<Pick<Measured, 'parameters' | 'macs'>> {
  const { parameters, macs } = await listLayers(prepare(model), await data.batch(0, Math.min(2, data.count)), {
    threads,
  });
  return { parameters, macs };
}

/** Parameters and multiply-accumulates of a file, on samples that it takes. */
export async function countModel(path: string, samples: string, threads: number) {
  const limits = stepLimits(readConfig({}));
  const directory = await mkdtemp(join(tmpdir(), 'sparank-bench-count-'));
  try {
    const model = await loadModel(path, { directory, limits });
    const data = await openDataset(samples, {
      directory,
      limits: { ...limits, maxSamples: limits.maxCalibrationSamples },
      inputs: inputNames(model),
    });
    try {
      return await weigh(model, data, threads);
    } finally {
      await data.close();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function accuracyOf(runner: Runner, data: Dataset): Promise<number> {
  if (data.labels === null) throw new Error('the evaluation data has no labels');
  let correct = 0;
  for (let begin = 0; begin < data.count; begin += ACCURACY_BATCH) {
    const end = Math.min(begin + ACCURACY_BATCH, data.count);
    const output = (await runner.run(await data.batch(begin, end))).get(runner.outputs[0]?.name ?? '');
    if (output === undefined) throw new Error('the model has no output');
    const classes = output.dims.at(-1) ?? 1;
    for (let i = begin; i < end; i++) {
      const row = Array.from(output.data.subarray((i - begin) * classes, (i - begin + 1) * classes), Number);
      if (row.indexOf(Math.max(...row)) === data.labels[i]) correct += 1;
    }
  }
  return correct / data.count;
}

/** [model][round] in milliseconds. Every second round goes backwards, so that a drift of the machine hits all alike. */
async function timeInTurn(
  loaded: readonly Loaded[],
  data: Dataset,
  batch: number,
  rounds: number,
): Promise<number[][]> {
  const images = await data.batch(0, Math.min(batch, data.count));
  const times: number[][] = loaded.map(() => []);
  const order = [...loaded.entries()];
  for (let round = -WARMUP_ROUNDS; round < rounds; round++) {
    for (const [i, { runner }] of order) {
      const begun = performance.now();
      await runner.run(images);
      if (round >= 0) times[i]?.push(performance.now() - begun);
    }
    order.reverse();
  }
  return times;
}
