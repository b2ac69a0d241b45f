import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checkLabels } from '../../../datasets/index.js';
import { InputError } from '../../../errors/index.js';
import { targetsOf } from '../../../jobs/points.js';
import { targetOf, wishOf } from '../../../jobs/targets.js';
import type { Assignment, InspectResult, ModelSummary } from '../../../jobs/tasks.js';
import { codingOf, raiseOpset, Runner, type Layer } from '../../../models/index.js';
import { applySelection, newRow } from '../../files/layer-rows.js';
import { openCalibration, openNetwork, type Network } from '../../network/network.js';
import { requireFiniteOutputs } from '../../network/non-finite.js';
import { checkTargets } from '../plan/plan.js';
import { needsLabels } from '../plan/plan-quality.js';
import type { StepContext } from '../../step.js';

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
  const layers = applySelection(network.layers, spec.method.layers);
  if (layers.every((layer) => layer.blocked !== null)) throw nothingToCompress(layers);
  checkTargets(spec, layers, network);
  if (codingOf(spec.method.weights.coding).integers) raiseOpset(network.prepared);
  const starved = layers.find((layer) => layer.blocked === null && network.images * layer.positions < MIN_SAMPLES);
  if (starved !== undefined) {
    const detail = `${starved.name} needs at least ${String(MIN_SAMPLES)} calibration samples`;
    throw new InputError('invalid_dataset', detail, {
      faults: [{ pointer: '#calibration/x', detail }],
      layer: starved.name,
    });
  }
  const { constant } = await network.calibration.verify(context.signal);
  if (constant) {
    const detail = 'all values of x are the same: there is nothing to fit on';
    throw new InputError('invalid_dataset', `calibration: ${detail}`, {
      faults: [{ pointer: '#calibration/x', detail }],
    });
  }
  const labelled = await checkEvaluation(context, network, inputs.evaluation?.key ?? null);
  if (targetsOf(spec).some((target) => targetOf(wishOf(target).name).labels) && !labelled) throw needsLabels();
  return layers;
}

export async function summarize({ inputs }: Assignment, context: StepContext, network: Network): Promise<ModelSummary> {
  const { threads } = context;
  const runner = await Runner.open(network.original, { threads });
  try {
    const images = await network.calibration.batch(0, network.fixedBatch ?? 1);
    const given = { images, begin: 0, data: network.calibration };
    await requireFiniteOutputs(network.original, await runner.run(images), given, { threads });
    return {
      format: network.original.format,
      parameters: network.parameters,
      macs: network.macs,
      bytes: (await stat(context.path(inputs.model.key))).size,
      inputs: runner.inputs,
      outputs: runner.outputs,
    };
  } finally {
    await runner.release();
  }
}

/** @param pointers what is at fault */
export function nothingToCompress(layers: readonly Layer[], pointers = ['#model']): InputError {
  const reasons = layers.slice(0, 5).map(({ name, blocked }) => `${name}: ${blocked ?? ''}`);
  const detail = layers.length === 0 ? 'the model has no convolution or fully connected layer' : reasons.join('; ');
  return new InputError('invalid_model', `no layer of the model can be compressed (${detail})`, {
    faults: pointers.map((pointer) => ({ pointer, detail })),
  });
}

/** Returns whether there are labels. */
async function checkEvaluation(context: StepContext, network: Network, key: string | null): Promise<boolean> {
  if (key === null) return false;
  const data = await openCalibration(context, key, 'evaluation');
  const runner = await Runner.open(network.original, { threads: context.threads });
  try {
    runner.checkSamples([data.count, ...data.shape], data.type, 'evaluation', data.storedType);
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
