import { mkdir } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Dataset } from '../../../datasets/index.js';
import { InputError, SparankError } from '../../../errors/index.js';
import type { LayerRow, MeasuredOn, Metrics, Warning } from '../../../jobs/results.js';
import type { AssembleResult, Assignment, MeasuredPoint } from '../../../jobs/tasks.js';
import {
  bypasses,
  foldWeights,
  codingOf,
  countIntegerLayers,
  listLayers,
  loadModel,
  prepare,
  type ListedLayers,
  type Model,
} from '../../../models/index.js';
import { peakMemoryBytes } from '../../../observability/peak-memory.js';
import { imagesOfRun } from '../../cost/budgets.js';
import { finishedOf, finishedOne } from '../../files/finished.js';
import { pointCoding, pointOf } from '../../files/solved-layers.js';
import { layerLatencies, type TimedNetwork } from '../../latency/layer-latency.js';
import { networkLatencies } from '../../latency/network-latency.js';
import type { repeatRows } from '../../network/batch.js';
import { BATCH, compareModels } from '../../network/compare/compare.js';
import { batchWithin, mapBytes } from '../../network/feature-maps.js';
import { askedAnswers } from '../../network/quality.js';
import { withoutDropped } from '../../network/without-dropped.js';
import type { StepContext } from '../../step.js';
import { fewCalibrationSamples, type Fitted } from './few-calibration.js';
import { measureInTensorflow } from './in-tensorflow.js';
import { ledger } from './ledger.js';
import { layersInBranches } from './in-branches.js';
import { judge } from './verdict.js';

export interface Candidate {
  point: number;
  name: string;
  path: string;
  bytes: number;
  /** The same network with the tensors of the original; mostly the same file. */
  inner: string;
  /** The same with float32 weights, where its weights are coded. */
  uncoded: { path: string; bytes: number } | null;
}

export interface Original {
  model: Model;
  prepared: Model;
  fixedBatch: number | null;
  bytes: number;
  listed: ListedLayers;
  /** For listing the layers, and for timing them. */
  probe: Awaited<ReturnType<typeof repeatRows>>;
  images: Awaited<ReturnType<typeof repeatRows>>;
}

/** What all points are measured against, and with. */
interface Evaluation {
  assignment: Assignment;
  original: Original;
  data: Dataset;
  /** What the data is. */
  on: MeasuredOn;
  openFitted: () => Promise<Fitted | null>;
  threads: number;
}

/** The compressed network of one point, and, where its weights are coded, the one with float32 weights. */
interface Loaded {
  candidate: Candidate;
  model: Model;
  uncoded: Model | null;
}

type Comparison = Awaited<ReturnType<typeof compareModels>>[number];

/** What was measured of one network against the original. */
interface Measured extends Comparison {
  latency: Metrics['latency'];
}

/**
 * Measures the networks of some points together: loads them, compares their outputs with the original's, times them
 * whole and layer by layer, and judges each against its target.
 */
export async function measureGroup(
  evaluation: Evaluation,
  group: readonly Candidate[],
  context: StepContext,
): Promise<MeasuredPoint[]> {
  const loaded: Loaded[] = [];
  for (const candidate of group) {
    const { path, point, uncoded } = candidate;
    loaded.push({
      candidate,
      model: await load(context, path, `compressed-${String(point)}`),
      uncoded: uncoded === null ? null : await load(context, uncoded.path, `uncoded-${String(point)}`),
    });
  }
  const measured = await againstOriginal(evaluation, loaded, context);
  const few = await tooFewFitted(evaluation, loaded, measured, context);
  const tensorflow = await inTensorflow(evaluation, loaded, context);
  const rows = await timedRows(evaluation, loaded, context);
  context.progress(1);
  const { model } = finishedOne(evaluation.assignment, 'inspect').result;
  const inBranches = layersInBranches(evaluation.original.model, model.parameters);
  const points: MeasuredPoint[] = [];
  for (const [i, one] of loaded.entries())
    points.push(
      await measuredPoint(
        evaluation,
        one,
        {
          ...{ measured, rows: rows[i] ?? [], tensorflow: tensorflow.results?.[i] },
          warnings: [few.get(one.model) ?? [], tensorflow.warning, inBranches].flat(),
        },
        context,
      ),
    );
  return points;
}

/** Samples that are compared in one run, unless the model fixes that. */
const comparedBatch = ({ listed: { layers } }: Original, { limits }: StepContext): number =>
  batchWithin(limits.layerMemoryBytes / 2, mapBytes(layers).held, imagesOfRun(layers, BATCH));

/**
 * Memory for the feature maps of a run that is timed, in units of what one layer may take. Nine seconds of sound, or a large
 * picture, take gigabytes 32 at a time: more than a worker may have.
 */
const TIMED_SHARE = 8;

/** Samples of a run that is timed, at most. */
const timedBatch = ({ listed: { layers } }: Original, { limits }: StepContext): number =>
  batchWithin(TIMED_SHARE * limits.layerMemoryBytes, mapBytes(layers).held, Infinity);

/** Outputs and speed of all networks, the coded ones first, then the others. */
async function againstOriginal(
  { assignment: { spec }, original, data, threads }: Evaluation,
  loaded: readonly Loaded[],
  context: StepContext,
): Promise<Map<Model, Measured>> {
  const models = [...loaded.map(({ model }) => model), ...loaded.flatMap(({ uncoded }) => uncoded ?? [])];
  const { layerMemoryBytes } = context.limits;
  const { held } = mapBytes(original.listed.layers);
  const comparisons = await compareModels(original.model, models, data, {
    context,
    batch: comparedBatch(original, context),
    answers: askedAnswers(spec),
    progress: (share) => context.progress(0.4 * share),
  });
  const latencies = await networkLatencies(original.model, models, data, {
    threads,
    spec,
    most: timedBatch(original, context),
    mostWithArena: layerMemoryBytes / (held * (models.length + 1)),
    signal: context.signal,
    progress: (share) => context.progress(0.4 + 0.4 * share),
  });
  return new Map(
    models.map((model, i) => {
      const [comparison, latency] = [comparisons[i], latencies[i]];
      if (comparison === undefined || latency === undefined) throw new RangeError('a network was not measured');
      return [model, { ...comparison, latency }];
    }),
  );
}

async function tooFewFitted(
  { original, openFitted }: Evaluation,
  loaded: readonly Loaded[],
  measured: ReadonlyMap<Model, Measured>,
  context: StepContext,
): Promise<Map<Model, Warning>> {
  const networks = loaded.flatMap(({ model }) => {
    const own = measured.get(model);
    return own === undefined ? [] : [{ model, fidelity: own.fidelity }];
  });
  return fewCalibrationSamples(
    { original: original.model, networks, openFitted },
    { context, batch: comparedBatch(original, context), progress: () => undefined },
  );
}

/** The ledgers, with the times of single layers. A form that several points have in common is timed once. */
async function timedRows(
  { assignment, original, threads }: Evaluation,
  loaded: readonly Loaded[],
  context: StepContext,
): Promise<LayerRow[][]> {
  const networks: TimedNetwork[] = [];
  for (const { candidate, model } of loaded) {
    const { point, path, inner } = candidate;
    const named = inner === path ? model : await load(context, inner, `inner-${String(point)}`);
    const rows = ledger(assignment, point);
    const dropped = pointOf({ ...assignment, point }).dropped?.filter(({ layers }) =>
      rows.some(({ index, decision }) => decision === 'dropped' && layers.includes(index)),
    );
    const bypassed = bypasses(withoutDropped(original, dropped ?? []).prepared);
    networks.push({ model: named, rows, ...(dropped === undefined ? {} : { bypassed }) });
  }
  const sameForm = (index: number) => formsOf(networks.map(({ rows }) => rows.find((row) => row.index === index)));
  const { prepared, listed, images } = original;
  return layerLatencies(prepared, listed.layers, networks, {
    ...{ sameForm, images, threads, signal: context.signal },
    progress: (share) => context.progress(0.8 + 0.2 * share),
  });
}

/** Which networks have a layer in the same compressed form, by their places. */
function formsOf(rows: readonly (LayerRow | undefined)[]): number[][] {
  const forms = new Map<string, number[]>();
  for (const [i, row] of rows.entries()) {
    if (row?.decision !== 'compressed') continue;
    const { low_rank_shape: shape, rank, inner_rank: inner, groups, parameters } = row;
    // Fewer outputs may be made of it in one of them.
    const form = JSON.stringify([shape, rank, inner, groups, parameters.after]);
    forms.set(form, [...(forms.get(form) ?? []), i]);
  }
  return [...forms.values()];
}

interface MeasuredParts {
  measured: ReadonlyMap<Model, Measured>;
  rows: LayerRow[];
  tensorflow: Metrics['tensorflowjs'] | undefined;
  /** Of what was measured beside the network itself. */
  warnings: Warning[];
}

/** @throws {InputError} where the job names TensorFlow.js, and it cannot run the network */
async function inTensorflow(
  { assignment: { inputs, spec }, original, data }: Evaluation,
  loaded: readonly Loaded[],
  context: StepContext,
): Promise<{ results: Awaited<ReturnType<typeof measureInTensorflow>>; warning: Warning[] }> {
  const { model, prepared } = original;
  const path = context.path(inputs.model.key);
  const networks = loaded.map(({ candidate, model: compressed }) => ({ model: compressed, path: candidate.path }));
  try {
    const given = { original: { model, prepared, path }, networks, data, spec };
    return { results: await measureInTensorflow(given, context), warning: [] };
  } catch (error) {
    context.signal.throwIfAborted();
    const cause = `TensorFlow.js does not run the network on this worker: ${error instanceof Error ? error.message : String(error)}`;
    if (spec.benchmark.runtime === 'tensorflowjs') {
      // Packages that are missing here may be there on another worker.
      if (error instanceof SparankError) throw error;
      const faults = [{ pointer: '/benchmark/runtime', detail: cause }];
      throw new InputError('invalid_model', cause, { faults, cause: error });
    }
    const next = 'the numbers are those of ONNX Runtime; try the model with the backend that it is for';
    return { results: null, warning: [{ code: 'not_in_tensorflowjs', cause, next }] };
  }
}

async function measuredPoint(
  { assignment, original, on, threads }: Evaluation,
  loaded: Loaded,
  { measured, rows, tensorflow, warnings }: MeasuredParts,
  context: StepContext,
): Promise<MeasuredPoint> {
  const { point, name, bytes } = loaded.candidate;
  const planned = finishedOne(assignment, 'plan').result.points.find((planned) => planned.point === point);
  const own = measured.get(loaded.model);
  if (own === undefined || planned === undefined) throw new RangeError(`point ${String(point)} was not measured`);
  const assembled = assembledOf(assignment, point);
  const { latency: inOnnxRuntime, ...comparison } = own;
  const named = assignment.spec.benchmark.runtime === 'tensorflowjs' ? tensorflow : undefined;
  const latency = named?.latency ?? inOnnxRuntime;
  const { listed, probe } = original;
  // Parameters and MACs are counted on the files themselves, not taken from the plan.
  const folded = await foldWeights(loaded.model, { threads: context.threads });
  const after = await listLayers(prepare(folded), probe, { threads: context.threads });
  const metrics: Omit<Metrics, 'seconds'> = {
    parameters: beforeAfter(listed.parameters, after.parameters),
    nonzeros: beforeAfter(listed.parameters, after.parameters - zerosOf(rows)),
    macs: beforeAfter(listed.macs, after.macs),
    bytes: beforeAfter(original.bytes, bytes),
    latency,
    speedup: speedupOf(latency),
    ...comparison,
    measured_on: on,
    ...codingMetrics(assignment, original, loaded, measured),
    ...distillation(assembled),
    ...(assembled?.unseen === undefined ? {} : { unseen: assembled.unseen }),
    ...(tensorflow === undefined ? {} : { tensorflowjs: tensorflow }),
    device: deviceOf(named, threads),
  };
  return {
    point,
    model: name,
    metrics: {
      ...metrics,
      seconds: assignment.seconds,
      memory: { peak_bytes: peakOf(assignment), limit_bytes: context.limits.layerMemoryBytes },
    },
    verdict: judge({ target: planned.target, constraints: assignment.spec.constraints }, metrics, [
      ...(planned.warnings ?? []),
      ...(assembled?.warnings ?? []),
      ...warnings,
    ]),
    layers: rows,
  };
}

/** The runtime that was timed, whatever engine solved the layers. */
function deviceOf(tensorflow: Metrics['tensorflowjs'] | undefined, threads: number): Metrics['device'] {
  const name = cpus()[0]?.model.trim() ?? 'cpu';
  if (tensorflow === undefined)
    return { engine: 'onnxruntime', name, threads: threads === 0 ? cpus().length : threads };
  return {
    engine: `tensorflowjs ${tensorflow.backend}`,
    name,
    threads: tensorflow.backend === 'wasm' ? 1 : cpus().length,
  };
}

/** Where the weights are coded: the network with float32 weights beside it. */
function codingMetrics(
  assignment: Assignment,
  original: Original,
  { candidate, model, uncoded }: Loaded,
  measured: ReadonlyMap<Model, Measured>,
): Pick<Metrics, 'coding'> {
  const plain = uncoded === null ? undefined : measured.get(uncoded);
  if (candidate.uncoded === null || plain === undefined) return {};
  const { point } = candidate;
  const assembled = assembledOf(assignment, point);
  const coding = assembled?.coding ?? pointCoding({ ...assignment, point });
  const bits = Object.values(pointOf({ ...assignment, point }).bits ?? [assignment.spec.method.weights.bits]);
  const [fewest, most] = [Math.min(...bits), Math.max(...bits)];
  const inWords = fewest === most ? String(most) : `${String(fewest)} to ${String(most)}`;
  const { integers, reported } = codingOf(coding);
  const trained = assembled?.codeDistillation;
  const { latency, ...comparison } = plain;
  return {
    coding: {
      coding: reported?.(inWords) ?? coding,
      bytes: beforeAfter(candidate.uncoded.bytes, candidate.bytes),
      ...(integers ? { integer_layers: countIntegerLayers(model) } : {}),
      ...(trained === undefined ? {} : { distillation: trained }),
      uncoded: {
        bytes: beforeAfter(original.bytes, candidate.uncoded.bytes),
        latency,
        speedup: speedupOf(latency),
        ...comparison,
      },
    },
  };
}

const speedupOf = (latency: Metrics['latency']): number => latency[0]?.speedup ?? 1;

const assembledOf = (assignment: Assignment, point: number): AssembleResult | undefined =>
  finishedOf(assignment, 'assemble').find((task) => task.point === point)?.result;

const distillation = (assembled: AssembleResult | undefined): Pick<Metrics, 'distillation' | 'not_distilled'> => ({
  ...(assembled?.distillation === undefined ? {} : { distillation: assembled.distillation }),
  ...(assembled?.notDistilled === undefined ? {} : { not_distilled: assembled.notDistilled }),
});

/** The highest of the steps before and of this one so far. */
const peakOf = ({ finished }: Assignment): number =>
  Math.max(peakMemoryBytes(), ...finished.map(({ peakBytes }) => peakBytes ?? 0));

const beforeAfter = (before: number, after: number) => ({ before, after, ratio: after === 0 ? 1 : before / after });

/** Zeros of patterns in the weights that the file holds. */
const zerosOf = (rows: readonly LayerRow[]): number =>
  rows.reduce((sum, { parameters, nonzeros }) => sum + parameters.after - (nonzeros?.after ?? parameters.after), 0);

export async function load(context: StepContext, path: string, name: string): Promise<Model> {
  const directory = join(context.directory, name);
  await mkdir(directory, { recursive: true });
  return loadModel(path, { directory, limits: context.limits, signal: context.signal });
}
