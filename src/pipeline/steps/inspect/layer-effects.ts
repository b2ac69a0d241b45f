import { type NarrowFits, type TapFits } from '../../../compression/index.js';
import {
  extract,
  rewrite,
  Runner,
  type FloatTensor,
  type Layer,
  type Running,
  type Tensor,
} from '../../../models/index.js';
import type { ActivationStore } from '../../files/activation-store.js';
import { type Effects } from '../../curves/effects.js';
import { type Network } from '../../network/network.js';
import { batches, floats, runPart } from '../../network/network-pass.js';
import type { ProbePlan } from './probe-plan.js';
import type { chooseProbes } from '../../curves/sensitivity.js';
import {
  chooseWidths,
  SensitivityProbe,
  type ResponseBasis,
  type SensitivityPoint,
  type Variant,
} from '../../curves/sensitivity.js';
import { SharedProbe, type SharedVariant } from '../../curves/shared-sensitivity.js';
import type { StepContext } from '../../step.js';

export const outputNames = (network: Network): string[] => network.prepared.graph.output.map(({ name }) => name);

/** What an error in one layer does to the network's outputs. */
export async function sensitivityOf(
  network: Network,
  layer: Layer,
  {
    basis,
    probes,
    fits: taps,
    channelFits,
    rest: { store, plan, before },
  }: {
    basis: ResponseBasis;
    probes: ReturnType<typeof chooseProbes>;
    fits: readonly TapFits[];
    channelFits: NarrowFits | null;
    rest: { store: ActivationStore; plan: ProbePlan; before: ReadonlySet<string> };
  },
  context: StepContext,
): Promise<Effects> {
  const { threads, device, signal } = context;
  const ranges = batches(plan.images, network.batch);
  const read = async (name: string, batch: number): Promise<Tensor> => {
    if (store.has(name)) return store.read(name, batch);
    const { begin, end } = ranges[batch] ?? { begin: 0, end: 0 };
    const value = (await network.calibration.batch(begin, end)).get(name);
    if (value === undefined) throw new RangeError(`${name} is neither stored nor an input`);
    return value;
  };
  const fits: readonly NarrowFits[] = channelFits === null ? taps : [...taps, channelFits];
  if (probes.length === 0 && fits.length === 0) return { ranks: [], taps: [], channels: [] };
  /** From the points of the probes, then of each fit in turn. */
  const effectsOf = (points: SensitivityPoint[], counts: readonly number[]): Effects => {
    const ranks = points.splice(0, probes.length);
    const own = counts.map((count) => points.splice(0, count));
    return {
      ranks,
      taps: taps.map((fit, i) => ({ fits: fit, points: own[i] ?? [] })),
      channels: own[taps.length] ?? [],
    };
  };
  const part = { prepared: network.prepared, outputs: outputNames(network), parts: network.parts, threads, device };
  if (layer.uses !== undefined) {
    const variants: SharedVariant[][] = [];
    for (const fit of fits) variants.push(await sharedVariants(network, layer, fit, plan.tapErrors));
    const options = { basis, probes, variants: variants.flat(), before, read };
    const probe = await SharedProbe.open(part, layer, options);
    try {
      for (const { index } of ranges) {
        await probe.add(index, signal);
        context.progress((index + 1) / ranges.length);
      }
      const counts = variants.map(({ length }) => length);
      return effectsOf(probe.points(), counts);
    } finally {
      await probe.release();
    }
  }
  const narrow = await openVariants(network, layer, { fits, errors: plan.tapErrors, read, threads, device });
  try {
    const variants = narrow.flatMap((tap) => tap.variants);
    const probe = await SensitivityProbe.open(part, layer, { basis, probes, variants, before, read });
    try {
      const visit = async (response: FloatTensor, { index }: { index: number }) => {
        await probe.add(response, index, signal);
        context.progress((index + 1) / ranges.length);
      };
      await runPart(network, network.prepared, {
        store,
        to: layer.output,
        images: plan.images,
        threads,
        device,
        visit,
        signal,
        from: [layer.input],
      });
      const counts = narrow.map(({ variants: own }) => own.length);
      return effectsOf(probe.points(), counts);
    } finally {
      await probe.release();
    }
  } finally {
    for (const tap of narrow) await tap.close();
  }
}

/** The network with a narrow first convolution in all uses of the layer, at a few widths. */
async function sharedVariants(
  network: Network,
  layer: Layer,
  fit: NarrowFits,
  errors: readonly number[],
): Promise<SharedVariant[]> {
  const result: SharedVariant[] = [];
  for (const probe of chooseWidths(fit, errors)) {
    const model = rewrite(network.prepared, new Map([[layer.name, await fit.dense(probe.rank)]]));
    result.push({ ...probe, model });
  }
  return result;
}

/** The layer with a narrow first convolution, at a few widths, as networks of their own. */
async function openVariants(
  network: Network,
  layer: Layer,
  {
    fits,
    errors,
    read,
    ...running
  }: {
    fits: readonly NarrowFits[];
    errors: readonly number[];
    read: (name: string, batch: number) => Promise<Tensor>;
  } & Running,
): Promise<{ variants: Variant[]; close: () => Promise<void> }[]> {
  const result = [];
  for (const fit of fits) {
    const runners: Runner[] = [];
    const variants: Variant[] = [];
    for (const probe of chooseWidths(fit, errors)) {
      const changed = rewrite(network.prepared, new Map([[layer.name, await fit.dense(probe.rank)]]));
      const runner = await Runner.open(extract(changed, [layer.input], [layer.output]).model, running);
      runners.push(runner);
      variants.push({
        ...probe,
        respond: async (batch) => {
          const value = (await runner.feed(new Map([[layer.input, await read(layer.input, batch)]]))).get(layer.output);
          if (value === undefined) throw new RangeError(`${layer.output} was not computed`);
          return { dims: value.dims, data: floats(value) };
        },
      });
    }
    const close = async () => {
      for (const runner of runners) await runner.release();
    };
    result.push({ variants, close });
  }
  return result;
}
