import { copyFile, mkdir, stat } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { choicesOf, modelName } from '../../../jobs/points.js';
import type { LayerRow, Metrics } from '../../../jobs/results.js';
import type { Assignment, EvaluateResult, MeasuredPoint } from '../../../jobs/tasks.js';
import {
  codingOf,
  countIntegerLayers,
  listLayers,
  loadModel,
  prepare,
  Runner,
  spillWeights,
  type ListedLayers,
  type OnnxModel,
} from '../../../models/index.js';
import type { Dataset } from '../../../datasets/index.js';
import { repeatRows } from '../../network/batch.js';
import { BATCH, compareModels } from '../../network/compare.js';
import { writeCurve } from './curve-plot.js';
import { finishedOf, finishedOne, keyOf, optionalFileOf } from '../../files/finished.js';
import { files } from '../../files/step-files.js';
import { batchWithin, mapBytes } from '../../network/feature-maps.js';
import { layerLatencies } from '../../latency/layer-latency.js';
import { ledger } from './ledger.js';
import { openCalibration } from '../../network/network.js';
import { networkLatencies } from '../../latency/network-latency.js';
import { peakMemoryBytes } from '../../../observability/peak-memory.js';
import { writeManifest, writeReport } from './report.js';
import type { StepContext } from '../../step.js';
import { judge } from './verdict.js';

/** Files of compressed networks that are measured together: they are all in memory, some times over. */
const TOGETHER_BYTES = 512 << 20;

interface Candidate {
  point: number;
  name: string;
  path: string;
  bytes: number;
  /** The same with float32 weights, where its weights are coded. */
  uncoded: { path: string; bytes: number } | null;
}

interface Original {
  model: OnnxModel;
  prepared: OnnxModel;
  bytes: number;
  listed: ListedLayers;
  /** For listing the layers, and for timing them. */
  probe: Awaited<ReturnType<typeof repeatRows>>;
  images: Awaited<ReturnType<typeof repeatRows>>;
}

/**
 * Measures the compressed networks of all points against the original, on this worker, side by side: one curve with the numbers of
 * one machine, and the original runs once for all. Writes what the client downloads.
 */
export async function evaluate(assignment: Assignment, context: StepContext): Promise<EvaluateResult> {
  const { inputs, spec } = assignment;
  const output = join(context.directory, 'output');
  await mkdir(output, { recursive: true });
  const data = await openCalibration(
    context,
    (inputs.evaluation ?? inputs.calibration).key,
    inputs.evaluation === null ? 'calibration' : 'evaluation',
  );
  try {
    const threads = spec.benchmark.threads ?? context.threads;
    const original = await openOriginal(assignment, data, context);
    const candidates = await candidatesOf(assignment, original.model.format, context);
    const points: MeasuredPoint[] = [];
    for (const group of groupsWithin(candidates, TOGETHER_BYTES, bytesTogether)) {
      const begin = points.length / candidates.length;
      const progress = (share: number) => {
        context.progress(0.95 * (begin + (share * group.length) / candidates.length));
      };
      points.push(...(await measureGroup(assignment, original, group, data, threads, { ...context, progress })));
    }
    for (const { path, name } of candidates) await copyFile(path, join(output, name));
    await writeReport(join(output, 'report.json'), assignment, points);
    const names = [...candidates.map(({ name }) => name), 'report.json'];
    if (points.length > 1) {
      await writeCurve(join(output, 'curve.svg'), points);
      names.push('curve.svg');
    }
    await writeManifest(output, names, assignment);
    return { points };
  } finally {
    await data.close();
  }
}

async function openOriginal({ inputs, spec }: Assignment, data: Dataset, context: StepContext): Promise<Original> {
  const path = context.path(inputs.model.key);
  const model = await load(context, path, 'original');
  const prepared = await spillWeights(prepare(model), join(context.directory, 'original'));
  const fixedBatch = await fixedBatchOf(model, spec.benchmark.threads ?? context.threads);
  const probe = await repeatRows(data, fixedBatch ?? Math.min(2, data.count));
  return {
    model,
    prepared,
    bytes: (await stat(path)).size,
    listed: await listLayers(prepared, probe, { threads: context.threads }),
    probe,
    images: await repeatRows(data, fixedBatch ?? 1),
  };
}

async function candidatesOf(
  assignment: Assignment,
  format: OnnxModel['format'],
  context: StepContext,
): Promise<Candidate[]> {
  const assembled = finishedOf(assignment, 'assemble').sort((a, b) => (a.point ?? 0) - (b.point ?? 0));
  return Promise.all(
    assembled.map(async (task) => {
      const point = task.point ?? 0;
      const path = context.path(keyOf(task, files.model));
      const twin = optionalFileOf(task, files.uncoded);
      const uncoded = twin === null ? null : { path: context.path(twin.key), bytes: twin.bytes };
      return { point, name: modelName(point, format), path, bytes: (await stat(path)).size, uncoded };
    }),
  );
}

/** The highest of the steps before and of this one so far. */
const peakOf = ({ finished }: Assignment): number =>
  Math.max(peakMemoryBytes(), ...finished.map(({ peakBytes }) => peakBytes ?? 0));

const bytesTogether = ({ bytes, uncoded }: Candidate): number => bytes + (uncoded?.bytes ?? 0);

/** In order; a group holds at least one. */
export function groupsWithin<T>(items: readonly T[], limit: number, bytesOf: (item: T) => number): T[][] {
  const groups: T[][] = [];
  let total = Infinity;
  for (const item of items) {
    if (total + bytesOf(item) > limit) {
      groups.push([]);
      total = 0;
    }
    groups.at(-1)?.push(item);
    total += bytesOf(item);
  }
  return groups;
}

async function measureGroup(
  assignment: Assignment,
  original: Original,
  group: readonly Candidate[],
  data: Dataset,
  threads: number,
  context: StepContext,
): Promise<MeasuredPoint[]> {
  const { spec } = assignment;
  const models: OnnxModel[] = [];
  for (const { path, point } of group) models.push(await load(context, path, `compressed-${String(point)}`));
  /** Place of the uncoded network of a point among `models`. */
  const twins = new Map<number, number>();
  for (const { uncoded, point } of group) {
    if (uncoded === null) continue;
    twins.set(point, models.length);
    models.push(await load(context, uncoded.path, `uncoded-${String(point)}`));
  }
  const { layerMemoryBytes } = context.limits;
  const { held } = mapBytes(original.listed.layers);
  const batch = batchWithin(layerMemoryBytes / 2, held, BATCH);
  const comparisons = await compareModels(original.model, models, data, context, batch, (share) => {
    context.progress(0.4 * share);
  });
  const most = layerMemoryBytes / (held * (models.length + 1));
  const latencies = await networkLatencies(
    original.model,
    models,
    data,
    threads,
    spec,
    most,
    context.signal,
    (share) => {
      context.progress(0.4 + 0.4 * share);
    },
  );
  const networks = group.map(({ point }, i) => ({
    model: models[i] ?? original.model,
    rows: ledger(assignment, point),
  }));
  const plan = finishedOne(assignment, 'plan').result;
  const place = new Map(group.map(({ point }, i) => [point, i]));
  const sameForm = (index: number) =>
    choicesOf(plan, index)
      .map(({ points }) => points.flatMap((point) => place.get(point) ?? []))
      .filter((members) => members.length > 0);
  const { prepared, listed, images, probe } = original;
  const rows = await layerLatencies(prepared, listed.layers, networks, sameForm, images, threads, context.signal);
  context.progress(1);
  const result: MeasuredPoint[] = [];
  for (const [i, { point, name, bytes, uncoded }] of group.entries()) {
    const comparison = comparisons[i];
    const latency = latencies[i];
    const target = plan.points.find((p) => p.point === point)?.target;
    const model = models[i];
    if (comparison === undefined || latency === undefined || target === undefined || model === undefined)
      throw new RangeError(`point ${String(point)} was not measured`);
    // Parameters and MACs are counted on the files themselves, not taken from the plan.
    const after = await listLayers(prepare(model), probe, { threads: context.threads });
    const measured: Omit<Metrics, 'seconds'> = {
      parameters: beforeAfter(listed.parameters, after.parameters),
      nonzeros: beforeAfter(listed.parameters, after.parameters - zerosOf(rows[i] ?? [])),
      macs: beforeAfter(listed.macs, after.macs),
      bytes: beforeAfter(original.bytes, bytes),
      latency,
      speedup: latency[0]?.speedup ?? 1,
      ...comparison,
      ...coding(spec, model, original.bytes, bytes, uncoded, twins.get(point), comparisons, latencies),
      ...distillation(assignment, point),
      device: {
        engine: 'onnxruntime',
        name: cpus()[0]?.model.trim() ?? 'cpu',
        threads: threads === 0 ? cpus().length : threads,
      },
    };
    result.push({
      point,
      model: name,
      metrics: {
        ...measured,
        seconds: assignment.seconds,
        memory: { peak_bytes: peakOf(assignment), limit_bytes: layerMemoryBytes },
      },
      verdict: judge({ target, constraints: spec.constraints }, measured),
      layers: rows[i] ?? [],
    });
  }
  return result;
}

function coding(
  { method }: Assignment['spec'],
  model: OnnxModel,
  original: number,
  coded: number,
  uncoded: Candidate['uncoded'],
  at: number | undefined,
  comparisons: Awaited<ReturnType<typeof compareModels>>,
  latencies: Metrics['latency'][],
): Pick<Metrics, 'coding'> {
  const comparison = comparisons[at ?? -1];
  const latency = latencies[at ?? -1];
  if (uncoded === null || comparison === undefined || latency === undefined) return {};
  const { coding, bits } = method.weights;
  const { integers, reported } = codingOf(coding);
  return {
    coding: {
      coding: reported?.(bits) ?? coding,
      bytes: beforeAfter(uncoded.bytes, coded),
      ...(integers ? { integer_layers: countIntegerLayers(model) } : {}),
      uncoded: {
        bytes: beforeAfter(original, uncoded.bytes),
        latency,
        speedup: latency[0]?.speedup ?? 1,
        ...comparison,
      },
    },
  };
}

function distillation(assignment: Assignment, point: number): Pick<Metrics, 'distillation'> {
  const { distillation: report } =
    finishedOf(assignment, 'assemble').find((task) => task.point === point)?.result ?? {};
  return report === undefined ? {} : { distillation: report };
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

/** Zeros of patterns in the weights that the file holds. */
const zerosOf = (rows: readonly LayerRow[]): number =>
  rows.reduce((sum, { parameters, nonzeros }) => sum + parameters.after - (nonzeros?.after ?? parameters.after), 0);
