import { copyFile, mkdir, stat } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Dataset } from '../datasets/index.js';
import type { LayerRow, Metrics } from '../jobs/results.js';
import type { Assignment, EvaluateResult } from '../jobs/tasks.js';
import { listLayers, loadModel, prepare, Runner, type OnnxModel } from '../models/index.js';
import { repeatRows } from './batch.js';
import { compareModels } from './compare.js';
import { finishedOf, finishedOne, keyOf } from './finished.js';
import { measurePaired, quantile, speedup } from './latency.js';
import { files } from './step-files.js';
import { layerLatencies } from './layer-latency.js';
import { openCalibration } from './network.js';
import { writeManifest, writeReport } from './report.js';
import type { StepContext } from './step.js';
import { judge } from './verdict.js';

const WARMUP_RUNS = 3;
const MIN_RUNS = 15;
const MAX_RUNS = 200;
/** Wall time per batch size, both models together. */
const LATENCY_SECONDS = 6;

/** Measures the compressed model against the original, on this worker, and writes what the client downloads. */
export async function evaluate(assignment: Assignment, context: StepContext): Promise<EvaluateResult> {
  const { spec, inputs } = assignment;
  const output = join(context.directory, 'output');
  await mkdir(output, { recursive: true });
  const original = await load(context, context.path(inputs.model.key), 'original');
  const compressedPath = context.path(keyOf(finishedOne(assignment, 'assemble'), files.model));
  const compressed = await load(context, compressedPath, 'compressed');
  const name = original.format === 'onnx' ? 'model.onnx' : 'model.zip';
  await copyFile(compressedPath, join(output, name));

  const data = await openCalibration(
    context,
    (inputs.evaluation ?? inputs.calibration).key,
    inputs.evaluation === null ? 'calibration' : 'evaluation',
  );
  try {
    const threads = spec.benchmark.threads ?? context.threads;
    const comparison = await compareModels(original, compressed, data, context);
    context.progress(0.4);
    const latency = await latencies(original, compressed, data, spec.benchmark.batch_sizes, threads, context);
    const rows = ledger(assignment);
    // Parameters and MACs are counted on the files themselves, not taken from the plan.
    const prepared = prepare(original);
    const fixedBatch = await fixedBatchOf(original, threads);
    const probe = await repeatRows(data, fixedBatch ?? Math.min(2, data.count));
    const before = await listLayers(prepared, probe, { threads: context.threads });
    const after = await listLayers(prepare(compressed), probe, { threads: context.threads });
    const images = await repeatRows(data, fixedBatch ?? 1);
    const timed = await layerLatencies(prepared, compressed, before.layers, images, rows, threads, context.signal);
    context.progress(0.95);
    const measured: Omit<Metrics, 'seconds'> = {
      parameters: beforeAfter(before.parameters, after.parameters),
      macs: beforeAfter(before.macs, after.macs),
      bytes: beforeAfter((await stat(context.path(inputs.model.key))).size, (await stat(compressedPath)).size),
      latency,
      speedup: latency[0]?.speedup ?? 1,
      accuracy: comparison.accuracy,
      fidelity: comparison.fidelity,
      device: {
        engine: 'onnxruntime',
        name: cpus()[0]?.model.trim() ?? 'cpu',
        threads: threads === 0 ? cpus().length : threads,
      },
    };
    const verdict = judge(spec, measured);
    const metrics: Metrics = { ...measured, seconds: assignment.seconds };
    await writeReport(join(output, 'report.json'), { assignment, metrics, verdict, layers: timed });
    await writeManifest(output, name, assignment);
    return { metrics, verdict, layers: timed };
  } finally {
    await data.close();
  }
}

const beforeAfter = (before: number, after: number) => ({ before, after, ratio: after === 0 ? 1 : before / after });

async function load(context: StepContext, path: string, name: string): Promise<OnnxModel> {
  const directory = join(context.directory, name);
  await mkdir(directory, { recursive: true });
  return loadModel(path, { directory, limits: context.limits, signal: context.signal });
}

/** The batch size that a model is fixed to, if it is. */
async function fixedBatchOf(model: OnnxModel, threads: number): Promise<number | null> {
  const runner = await Runner.open(model, { threads });
  await runner.release();
  return runner.fixedBatch;
}

async function latencies(
  original: OnnxModel,
  compressed: OnnxModel,
  data: Dataset,
  batchSizes: readonly number[],
  threads: number,
  context: StepContext,
): Promise<Metrics['latency']> {
  const before = await Runner.open(original, { threads });
  const after = await Runner.open(compressed, { threads });
  try {
    const results: Metrics['latency'] = [];
    for (const batch of before.fixedBatch === null ? batchSizes : [before.fixedBatch]) {
      const images = await repeatRows(data, batch);
      const pairs = await measurePaired(
        () => before.run(images),
        () => after.run(images),
        {
          warmup: WARMUP_RUNS,
          minRuns: MIN_RUNS,
          maxRuns: MAX_RUNS,
          budgetSeconds: LATENCY_SECONDS,
          signal: context.signal,
        },
      );
      const { ratio, ci95 } = speedup(pairs);
      results.push({
        batch,
        before_ms: { p50: quantile(pairs.before, 0.5), p95: quantile(pairs.before, 0.95) },
        after_ms: { p50: quantile(pairs.after, 0.5), p95: quantile(pairs.after, 0.95) },
        speedup: ratio,
        speedup_ci95: ci95,
        runs: pairs.before.length,
      });
      context.progress(0.4 + (0.4 * results.length) / batchSizes.length);
    }
    return results;
  } finally {
    await before.release();
    await after.release();
  }
}

/** The newest row of every layer. */
export function ledger(assignment: Assignment): LayerRow[] {
  const rows = new Map<number, LayerRow>();
  for (const row of finishedOne(assignment, 'inspect').result.layers) rows.set(row.index, row);
  for (const row of finishedOne(assignment, 'plan').result.layers) rows.set(row.index, row);
  for (const { result } of finishedOf(assignment, 'layer')) rows.set(result.layer.index, result.layer);
  for (const row of finishedOne(assignment, 'assemble').result.layers) rows.set(row.index, row);
  return [...rows.values()].sort((a, b) => a.index - b.index);
}
