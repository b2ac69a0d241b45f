import { join } from 'node:path';
import type { Dataset } from '../../../datasets/index.js';
import type { Assignment } from '../../../jobs/tasks.js';
import {
  addedTo,
  biasShifts,
  denseWeights,
  inputNames,
  isAddedTo,
  placesOfUses,
  putRows,
  Runner,
  samplePatches,
  usesOf,
  type FloatTensor,
  type Layer,
  type Tensor,
} from '../../../models/index.js';
import { SampleWatch } from '../../network/breakdown.js';
import { requireFiniteOutputs } from '../../network/non-finite.js';
import type { ActivationStore } from '../../files/activation-store.js';
import { createSamples } from '../../files/layer-file.js';
import { files } from '../../files/step-files.js';
import { type Network } from '../../network/network.js';
import { batches, floats } from '../../network/network-pass.js';
import { placesIn, planSamples, type SamplePlan } from '../../network/sample-plan.js';
import { outputNames } from './layer-effects.js';
import type { StepContext } from '../../step.js';
import type { TensorFileWriter } from '../../files/tensor-file.js';

interface Captured {
  index: number;
  layer: Layer;
  plan: SamplePlan;
  writer: TensorFileWriter;
  watch: SampleWatch;
  /** By use, what its own bias adds. */
  shifts: readonly (Float32Array | null)[];
}

/**
 * One pass over the calibration data: patches of every layer's input go to files, batch by batch. Of the first images,
 * as many as the sensitivities are measured on, the whole inputs are kept.
 * @returns layers whose samples cannot be fitted, by index, with the reason
 */
export async function capture(
  network: Network,
  layers: readonly Layer[],
  {
    kept,
    store,
    assignment: { spec },
    context,
    output,
  }: { kept: number; store: ActivationStore; assignment: Assignment; context: StepContext; output: string },
): Promise<Map<number, string>> {
  const captured: Captured[] = [];
  try {
    for (const [index, layer] of layers.entries()) {
      if (layer.blocked !== null) continue;
      const { seed } = spec.method;
      const plan = planSamples(layer, index, {
        images: network.images,
        samples: network.samples,
        memoryBytes: context.limits.layerMemoryBytes,
        seed,
      });
      const weights = denseWeights(network.prepared, layer);
      const writer = await createSamples(join(output, files.samples(index)), layer, weights, plan.images.length);
      const shifts = layer.uses === undefined ? [] : biasShifts(network.prepared, layer);
      captured.push({ index, layer, plan, writer, watch: new SampleWatch(), shifts });
    }
    const given = new Set(inputNames(network.prepared));
    const names = [...new Set(captured.map(({ layer }) => layer.input))].filter((name) => !given.has(name));
    const uses = captured.flatMap(({ layer }) => usesOf(layer));
    const read = uses.flatMap(({ input, skip }) => (skip === null ? [input] : [input, skip.other]));
    const seen = [...new Set(read)].filter((name) => !given.has(name));
    const runner = await Runner.open(network.prepared, {
      threads: context.threads,
      device: context.device,
      capture: seen,
    });
    try {
      // Images of the probes come in batches of their own.
      const [first, rest] = [batches(kept, network.batch), batches(network.images, network.batch, kept)];
      for (const { begin, end } of [...first, ...rest]) {
        context.signal.throwIfAborted();
        const images = await network.calibration.batch(begin, end);
        const made = await runner.run(images);
        const samples = { images, begin, data: network.calibration };
        await requireFiniteOutputs(network.prepared, made, samples, { threads: context.threads });
        const values = new Map([...images, ...made]);
        for (const entry of captured) await writeRows(entry, values, { begin, end, data: network.calibration });
        if (end <= kept) {
          for (const name of new Set([...names, ...outputNames(network)])) {
            const value = values.get(name);
            if (value !== undefined) await store.append(name, floats(value), value.dims);
          }
        }
        context.progress(end / network.images);
      }
    } finally {
      await runner.release();
    }
    return new Map(captured.flatMap(({ index, watch: { reason } }) => (reason === null ? [] : [[index, reason]])));
  } finally {
    for (const { writer } of captured) await writer.close();
  }
}

async function writeRows(
  { layer, plan, writer, watch, shifts }: Captured,
  values: ReadonlyMap<string, Tensor>,
  { begin, end, data }: { begin: number; end: number; data: Dataset },
): Promise<void> {
  const { from, chosen } = placesIn(plan, { begin, end });
  if (chosen.images.length === 0) return;
  const value = (name: string): FloatTensor => {
    const tensor = values.get(name);
    if (tensor === undefined) throw new RangeError(`${name} was not captured`);
    return { dims: tensor.dims, data: floats(tensor) };
  };
  const rows = plan.images.subarray(from, from + chosen.images.length).map((image) => data.numberOf(image));
  const places = placesOfUses(layer, chosen);
  const inputs = new Float32Array(rows.length * layer.d);
  for (const use of places) putRows(inputs, use, samplePatches(value(use.layer.input), use.layer, use.chosen), layer.d);
  watch.add('input', inputs, layer.d, rows);
  await writer.write('inputs', inputs, from * layer.d);
  if (!isAddedTo(layer)) return;
  const skip = new Float32Array(rows.length * layer.m);
  for (const use of places)
    putRows(skip, use, addedTo(use, use.layer.skip === null ? null : value(use.layer.skip.other), shifts), layer.m);
  watch.add('skip branch', skip, layer.m, rows);
  await writer.write('skip', skip, from * layer.m);
}
