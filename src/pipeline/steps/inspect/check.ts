import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checkLabels } from '../../../datasets/index.js';
import { InputError } from '../../../errors/index.js';
import { targetsOf, writtenFormat } from '../../../jobs/points.js';
import { targetOf, wishOf } from '../../../jobs/targets.js';
import type { Spec } from '../../../jobs/spec.js';
import type { Assignment, InspectResult, ModelSummary } from '../../../jobs/tasks.js';
import {
  clientTypes,
  codingOf,
  formatOf,
  layersInside,
  inFormat,
  raiseOpset,
  Runner,
  saveModel,
  type Layer,
  type Model,
  type Tensor,
} from '../../../models/index.js';
import { applySelection, newRow, withForm } from '../../files/layer-rows.js';
import { openNetwork, openSamples, type Network } from '../../network/network.js';
import { requireFiniteOutputs } from '../../network/non-finite.js';
import { possibleBranches } from './branch-effects.js';
import { checkTargets } from '../plan/plan.js';
import { needsLabels } from '../plan/plan-quality.js';
import type { StepContext } from '../../step.js';
import { expectation } from './expect.js';

/** Fewer samples than this cannot be told apart by any fit. */
const MIN_SAMPLES = 2;

/**
 * Everything that can be said of a job before any computation: the files are what they claim, fit each other and the
 * specification, and something can be compressed. Returns what `inspect` would, without measuring.
 */
export async function check(assignment: Assignment, context: StepContext): Promise<InspectResult> {
  await mkdir(join(context.directory, 'output'), { recursive: true });
  const network = await openNetwork(context, assignment);
  try {
    const layers = await checkInputs(assignment, context, network);
    return {
      model: await summarize(assignment, context, network),
      layers: layers.map((layer, index) => newRow(layer, index, assignment.spec.method.pattern)),
      expected: expectation(network, layers, assignment.spec).seconds,
    };
  } finally {
    await network.close();
  }
}

/** @throws {InputError} Returns the layers with those blocked that the specification leaves out. */
export async function checkInputs(
  { spec, inputs }: Assignment,
  context: StepContext,
  network: Network,
): Promise<Layer[]> {
  const layers = withForm(applySelection(network.layers, spec.method.layers), spec.method.pattern);
  if (layers.every((layer) => layer.blocked !== null)) throw nothingToCompress(layers, [], network.prepared);
  const branches = possibleBranches(network, layers, spec);
  checkTargets(spec, layers, network, new Set(branches.flatMap(({ inside }) => inside)));
  if (codingOf(spec.method.weights.coding).integers) raiseOpset(network.prepared);
  const starved = layers.find((layer) => layer.blocked === null && network.images * layer.positions < MIN_SAMPLES);
  if (starved !== undefined) {
    const detail = `${starved.name} needs at least ${String(MIN_SAMPLES)} calibration samples`;
    throw new InputError('invalid_dataset', detail, {
      faults: network.calibration.faults(detail),
      layer: starved.name,
    });
  }
  const { constant } = await network.calibration.verify(context.signal);
  if (constant) {
    const names = network.calibration.columns.map(({ array }) => array).join(' and ');
    const detail = `all values of ${names} are the same: there is nothing to fit on`;
    throw new InputError('invalid_dataset', `calibration: ${detail}`, { faults: network.calibration.faults(detail) });
  }
  await requireForm(spec, context, network);
  const labelled = await checkEvaluation(context, network, inputs.evaluation?.key ?? null);
  if (targetsOf(spec).some((target) => targetOf(wishOf(target).name).labels) && !labelled) throw needsLabels();
  return layers;
}

/**
 * That the network can be written as it is asked for: told now, and not when its layers are solved. ONNX takes every
 * network that was read.
 * @throws {InputError}
 */
async function requireForm(spec: Spec, context: StepContext, { original, prepared }: Network): Promise<void> {
  const model = inFormat(prepared, writtenFormat(spec, original.format));
  const { codings, tensorflow } = formatOf(model.format);
  const { coding } = spec.method.weights;
  if (spec.benchmark.runtime === 'tensorflowjs' && tensorflow !== true) {
    const detail = `a model in the format ${model.format} does not run in TensorFlow.js: ask for output.format tfjs_graph or tfjs_layers, or for another runtime`;
    throw new InputError('invalid_spec', detail, { faults: [{ pointer: '/benchmark/runtime', detail }] });
  }
  if (codings === undefined) return;
  if (!codings.includes(coding)) {
    const detail = `a model in the format ${model.format} keeps its weights as ${codings.join(', ')}, not as ${coding}`;
    throw new InputError('invalid_spec', detail, { faults: [{ pointer: '/method/weights/coding', detail }] });
  }
  const path = join(context.directory, 'as-asked');
  try {
    await saveModel(model, path);
  } catch (error) {
    if (!(error instanceof InputError) || model.format === original.format) throw error;
    const faults = [{ pointer: '/output/format', detail: error.message }, ...error.faults];
    throw new InputError(error.code, error.message, { faults, cause: error });
  } finally {
    await rm(path, { force: true });
  }
}

export async function summarize({ inputs }: Assignment, context: StepContext, network: Network): Promise<ModelSummary> {
  const { threads } = context;
  const runner = await Runner.open(network.original, { threads });
  const types = clientTypes(network.original);
  try {
    const images = await network.calibration.batch(0, network.fixedBatch ?? 1);
    const given = { images, begin: 0, data: network.calibration };
    const values = await runner.run(images);
    await requireFiniteOutputs(network.original, values, given, { threads });
    requireRows(runner, values);
    return {
      format: network.original.format,
      parameters: network.parameters,
      macs: network.macs,
      bytes: (await stat(context.path(inputs.model.key))).size,
      inputs: runner.inputs.map((port) => ({ ...port, type: types.inputs.get(port.name) ?? port.type })),
      outputs: runner.outputs.map((port) => ({ ...port, type: types.outputs.get(port.name) ?? port.type })),
      weights: types.weights,
    };
  } finally {
    await runner.release();
  }
}

/**
 * With a batch size that the model fixes: the first axis of some output has to be the samples, or that of the inputs is
 * not.
 */
function requireRows({ fixedBatch, outputs }: Runner, values: ReadonlyMap<string, Tensor>): void {
  const batch = fixedBatch ?? 1;
  const found = outputs.map(({ name }) => values.get(name)?.dims ?? []);
  if (found.some(([rows = 0]) => rows % batch === 0)) return;
  const shapes = found.map((dims) => `[${dims.join(', ')}]`).join(', ');
  const detail = `the inputs have ${String(batch)} as their first axis, but no output has a row for each (${shapes}): samples have to be the first axis of inputs and outputs`;
  throw new InputError('invalid_model', detail, { faults: [{ pointer: '#model', detail }] });
}

function noLayers(model: Model | null): string {
  const holders = model === null ? [] : [...new Set(layersInside(model.graph).map(({ holder }) => holder))];
  return holders.length === 0
    ? 'the model has no convolution or fully connected layer'
    : `all its layers lie in the branches or the body of ${holders.join(' and ')}, which stay as they are: export the branch that is used, as a model of its own`;
}

const UNQUANTIZED = 'send the network as it was before it was quantized: method.weights.coding quantizes the result';

/** @param beside what else than the model is at fault */
export function nothingToCompress(
  layers: readonly Layer[],
  beside: readonly string[] = [],
  model: Model | null = null,
): InputError {
  const reasons = layers.slice(0, 5).map(({ name, blocked }) => `${name}: ${blocked ?? ''}`);
  const found = layers.length === 0 ? noLayers(model) : reasons.join('; ');
  const quantized = layers.some(({ blocked }) => blocked?.includes('quantized') ?? false);
  const detail = quantized ? `${found}; ${UNQUANTIZED}` : found;
  return new InputError('invalid_model', `no layer of the model can be compressed (${detail})`, {
    faults: ['#model', ...beside].map((pointer) => ({ pointer, detail })),
  });
}

/** Returns whether there are labels. */
async function checkEvaluation(context: StepContext, network: Network, key: string | null): Promise<boolean> {
  if (key === null) return false;
  const data = await openSamples(context, network.original, key, 'evaluation');
  const runner = await Runner.open(network.original, { threads: context.threads });
  try {
    runner.checkSamples(data.columns, 'evaluation');
    await data.verify(context.signal);
    if (data.labels === null) return false;
    const dims = (await runner.run(await data.batch(0, 1))).get(runner.outputs[0]?.name ?? '')?.dims ?? [];
    const classes = dims.at(-1) ?? 0;
    if (dims.reduce((a, b) => a * b, 1) !== classes) throw notOneRow(runner.outputs[0]?.name ?? '', dims);
    checkLabels(data.labels, classes);
    return true;
  } finally {
    await runner.release();
    await data.close();
  }
}

function notOneRow(output: string, dims: readonly number[]): InputError {
  const detail = `evaluation: y has a class for every sample, but ${output} of the model is [${dims.join(', ')}] for one sample; without y, outputs are compared with the original's`;
  return new InputError('invalid_dataset', detail, { faults: [{ pointer: '#evaluation/y', detail }] });
}
