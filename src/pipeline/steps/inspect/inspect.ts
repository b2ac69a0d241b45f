import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  costCurve,
  layerStatistics,
  requireFinite,
  responseMetric,
  responseSpan,
  type LayerProblem,
  type TapFits,
} from '../../../compression/index.js';
import type { Dataset } from '../../../datasets/index.js';
import { createEngine, matrix, type Engine } from '../../../engines/index.js';
import type { Assignment, InspectResult } from '../../../jobs/tasks.js';
import {
  denseWeights,
  extract,
  inputNames,
  rewrite,
  Runner,
  sampleOutputs,
  samplePatches,
  type FloatTensor,
  type Layer,
  type Tensor,
} from '../../../models/index.js';
import { checkInputs, nothingToCompress, summarize } from './check.js';
import { expectedInspection } from '../../cost/expected.js';
import { breakdownOf, causeOf, SampleWatch } from '../../network/breakdown.js';
import { requireFiniteOutputs } from '../../network/non-finite.js';
import { ActivationStore } from '../../files/activation-store.js';
import type { Curves } from '../../curves/curves.js';
import { withEffects, type TapEffect } from '../../curves/effects.js';
import { createSamples, readProblem, writeMetric, writeResponse } from '../../files/layer-file.js';
import { expectation } from './expect.js';
import { graphOf } from './graph.js';
import { layerResponse } from './layer-response.js';
import { sampledMetrics, type LayerMetrics } from './output-metrics.js';
import { files } from '../../files/step-files.js';
import { newRow } from '../../files/layer-rows.js';
import { openNetwork, type Network } from '../../network/network.js';
import { batches, floats, runPart } from '../../network/network-pass.js';
import type { ProbePlan } from './probe-plan.js';
import { placesIn, planSamples, type SamplePlan } from '../../network/sample-plan.js';
import {
  chooseProbes,
  chooseWidths,
  MAX_PROBED_RANK,
  responseBasis,
  SensitivityProbe,
  type ResponseBasis,
  type SensitivityPoint,
  type Variant,
} from '../../curves/sensitivity.js';
import type { StepContext } from '../../step.js';
import type { TensorFileWriter } from '../../files/tensor-file.js';

interface Captured {
  index: number;
  layer: Layer;
  plan: SamplePlan;
  writer: TensorFileWriter;
  watch: SampleWatch;
}

/**
 * Reads and checks everything the client sent, samples the inputs of every layer in one pass over the calibration data, and
 * measures each layer's error against its cost and against the network's output.
 */
export async function inspect(assignment: Assignment, context: StepContext): Promise<InspectResult> {
  const output = join(context.directory, 'output');
  await mkdir(output, { recursive: true });
  const network = await openNetwork(context, assignment);
  try {
    const checked = await checkInputs(assignment, context, network);
    const engine = await createEngine(context.engine, { threads: context.threads });
    const store = new ActivationStore(context.directory);
    let layers: Layer[];
    try {
      const { plan, counted, seconds } = expectation(network, checked, assignment.spec);
      context.expect?.(seconds);
      const parts = expectedInspection(counted);
      const all = parts.layers.reduce((sum, seconds) => sum + seconds, parts.capture);
      const within = (begin: number, length: number) => (share: number) => {
        context.progress((begin + share * length) / all);
      };
      const captured = await capture(network, checked, {
        ...{ kept: plan.images, store, assignment, output },
        context: { ...context, progress: within(0, parts.capture) },
      });
      layers = left(checked, captured, network);
      const weighed = assignment.spec.method.error_metric === 'outputs';
      const samples = (index: number) => join(output, files.samples(index));
      const metrics: LayerMetrics = weighed
        ? await sampledMetrics(engine, network.prepared, { layers, samples, signal: context.signal })
        : new Map();
      const { spec } = assignment;
      const measuring = { engine, network, metrics, plan, store, spec, output };
      const begins = parts.layers.map((_, i) => parts.layers.slice(0, i).reduce((sum, s) => sum + s, parts.capture));
      const layerContext = (index: number): StepContext => ({
        ...context,
        progress: within(begins[index] ?? 0, parts.layers[index] ?? 0),
      });
      const { curves, broken } = await measureCurves(measuring, layers, layerContext);
      layers = left(layers, broken, network);
      await writeFile(join(output, files.curves), JSON.stringify(curves));
    } finally {
      await store.close();
      await engine.dispose();
    }
    const model = await summarize(assignment, context, network);
    const rows = layers.map((layer, index) => newRow(layer, index, assignment.spec.method.pattern));
    return { model, layers: rows, graph: graphOf(network, layers) };
  } finally {
    await network.close();
  }
}

/**
 * The layers without those that cannot be fitted, by index with the reason: one that is at fault stays dense, and the others go on.
 * @throws {InputError} when none is left
 */
function left(layers: readonly Layer[], unfit: ReadonlyMap<number, string>, network: Network): Layer[] {
  const kept = layers.map((layer, index) => ({ ...layer, blocked: layer.blocked ?? unfit.get(index) ?? null }));
  if (unfit.size === 0) return kept;
  if (kept.every((layer) => layer.blocked !== null))
    throw nothingToCompress(
      kept,
      network.calibration.faults('').map(({ pointer }) => pointer),
    );
  return kept;
}

/**
 * One pass over the calibration data: patches of every layer's input go to files, batch by batch. Of the first images, as
 * many as the sensitivities are measured on, the whole inputs are kept.
 * @returns layers whose samples cannot be fitted, by index, with the reason
 */
async function capture(
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
      captured.push({ index, layer, plan, writer, watch: new SampleWatch() });
    }
    const given = new Set(inputNames(network.prepared));
    const names = [...new Set(captured.map(({ layer }) => layer.input))].filter((name) => !given.has(name));
    const branches = captured.flatMap(({ layer }) => (layer.skip === null ? [] : [layer.skip.other]));
    const seen = [...new Set([...names, ...branches])].filter((name) => !given.has(name));
    const runner = await Runner.open(network.prepared, { threads: context.threads, capture: seen });
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

const outputNames = (network: Network): string[] => network.prepared.graph.output.map(({ name }) => name);

async function writeRows(
  { layer, plan, writer, watch }: Captured,
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
  const inputs = samplePatches(value(layer.input), layer, chosen);
  watch.add('input', inputs, layer.d, rows);
  await writer.write('inputs', inputs, from * layer.d);
  if (layer.skip === null) return;
  const skip = sampleOutputs(value(layer.skip.other), layer, chosen);
  watch.add('skip branch', skip, layer.m, rows);
  await writer.write('skip', skip, from * layer.m);
}

/** What curves are measured with. */
interface Measuring {
  engine: Engine;
  network: Network;
  metrics: LayerMetrics;
  plan: ProbePlan;
  store: ActivationStore;
  spec: Assignment['spec'];
  output: string;
}

/** Of every layer that is not blocked. `broken` are those whose numbers could not be worked with, by index, with the reason. */
async function measureCurves(
  measuring: Measuring,
  layers: readonly Layer[],
  contextOf: (index: number) => StepContext,
): Promise<{ curves: Curves; broken: Map<number, string> }> {
  const { network, store, output } = measuring;
  const curves: Curves = { layers: [], parameters: network.parameters, macs: network.macs };
  const broken = new Map<number, string>();
  // Inputs of this layer and of those before it: in graph order none of them depends on this layer's output.
  const before = new Set<string>();
  for (const [index, layer] of layers.entries()) {
    if (layer.blocked !== null) continue;
    const context = contextOf(index);
    context.signal.throwIfAborted();
    if (store.has(layer.input)) before.add(layer.input);
    const { problem } = await readProblem(join(output, files.samples(index)));
    try {
      curves.layers.push(await measureLayer(measuring, { index, layer, sampled: problem, before }, context));
    } catch (error) {
      const what = breakdownOf(error);
      if (what === null) throw error;
      broken.set(index, causeOf(problem, what));
    }
    context.progress(1);
  }
  return { curves, broken };
}

async function measureLayer(
  { engine, network, metrics, plan, store, spec, output }: Measuring,
  {
    index,
    layer,
    sampled,
    before,
  }: { index: number; layer: Layer; sampled: LayerProblem; before: ReadonlySet<string> },
  context: StepContext,
): Promise<Curves['layers'][number]> {
  const samples = sampled.inputs.length / layer.d;
  const { own, wanted } = await layerResponse(engine, layer, sampled);
  requireFinite(wanted, 'the response');
  await writeResponse(join(output, files.response(index)), wanted, samples, layer.m);
  const known = metrics.get(layer.output);
  if (known !== undefined) await writeMetric(join(output, files.metric(index)), known.response.data);
  const problem =
    known === undefined ? sampled : { ...sampled, metric: known.response.data, metricAfter: known.after.data };

  const { low_rank_shapes: shapes, components, pattern, seed } = spec.method;
  const { statistics, fits } = await layerStatistics(engine, problem, {
    components,
    shapes,
    pattern,
    seed,
    signal: context.signal,
  });
  context.progress(0.5);
  const candidates = costCurve(layer, statistics, components);
  const probes = chooseProbes(candidates, MAX_PROBED_RANK, plan.layerErrors);
  const maxRank = Math.max(1, ...probes.map(({ rank }) => rank));
  const basis = await responseBasis(engine, matrix(samples, layer.m, own), {
    size: maxRank,
    seed,
    metric: responseMetric(problem.metric),
    span: await responseSpan(engine, matrix(layer.m, layer.d, problem.weights)),
  });
  const progress = (fraction: number) => context.progress(0.5 + 0.5 * fraction);
  const rest = { store, plan, before };
  const effects = await sensitivityOf(network, layer, { basis, probes, fits, rest }, { ...context, progress });
  const measured = withEffects(candidates, effects.ranks, effects.taps);
  requireFinite(
    Float32Array.from(measured, ({ effect, error }) => effect + error),
    'the effect of an error on the outputs',
  );
  return { index, layer, candidates: measured, sensitivity: effects.ranks };
}

/** What an error in one layer does to the network's outputs. */
async function sensitivityOf(
  network: Network,
  layer: Layer,
  {
    basis,
    probes,
    fits,
    rest: { store, plan, before },
  }: {
    basis: ResponseBasis;
    probes: ReturnType<typeof chooseProbes>;
    fits: readonly TapFits[];
    rest: { store: ActivationStore; plan: ProbePlan; before: ReadonlySet<string> };
  },
  context: StepContext,
): Promise<{ ranks: SensitivityPoint[]; taps: TapEffect[] }> {
  const { threads, signal } = context;
  const ranges = batches(plan.images, network.batch);
  const read = async (name: string, batch: number): Promise<Tensor> => {
    if (store.has(name)) return store.read(name, batch);
    const { begin, end } = ranges[batch] ?? { begin: 0, end: 0 };
    const value = (await network.calibration.batch(begin, end)).get(name);
    if (value === undefined) throw new RangeError(`${name} is neither stored nor an input`);
    return value;
  };
  if (probes.length === 0 && fits.length === 0) return { ranks: [], taps: [] };
  const part = { prepared: network.prepared, outputs: outputNames(network), parts: network.parts, threads };
  const narrow = await openVariants(network, layer, { fits, errors: plan.tapErrors, read, threads });
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
        visit,
        signal,
        from: [layer.input],
      });
      const points = probe.points();
      const ranks = points.splice(0, probes.length);
      const taps = narrow.map((tap) => ({ fits: tap.fits, points: points.splice(0, tap.variants.length) }));
      return { ranks, taps };
    } finally {
      await probe.release();
    }
  } finally {
    for (const tap of narrow) await tap.close();
  }
}

/** The layer with a narrow first convolution, at a few widths, as networks of their own. */
async function openVariants(
  network: Network,
  layer: Layer,
  {
    fits,
    errors,
    read,
    threads,
  }: {
    fits: readonly TapFits[];
    errors: readonly number[];
    read: (name: string, batch: number) => Promise<Tensor>;
    threads: number;
  },
): Promise<{ fits: TapFits; variants: Variant[]; close: () => Promise<void> }[]> {
  const result = [];
  for (const fit of fits) {
    const runners: Runner[] = [];
    const variants: Variant[] = [];
    for (const probe of chooseWidths(fit, errors)) {
      const changed = rewrite(network.prepared, new Map([[layer.name, await fit.dense(probe.rank)]]));
      const runner = await Runner.open(extract(changed, [layer.input], [layer.output]).model, { threads });
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
    result.push({ fits: fit, variants, close });
  }
  return result;
}
