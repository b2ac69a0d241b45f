import { join } from 'node:path';
import {
  activated,
  costCurve,
  layerStatistics,
  requireFinite,
  responseMetric,
  responseSpan,
  type LayerProblem,
} from '../../../compression/index.js';
import { matrix, type Engine } from '../../../engines/index.js';
import type { Assignment } from '../../../jobs/tasks.js';
import { GraphIndex, usesOf, type Layer } from '../../../models/index.js';
import { breakdownOf, causeOf } from '../../network/breakdown.js';
import type { ActivationStore } from '../../files/activation-store.js';
import type { Curves } from '../../curves/curves.js';
import { withEffects } from '../../curves/effects.js';
import { readProblem, writeMetric, writeResponse } from '../../files/layer-file.js';
import { layerResponse } from './layer-response.js';
import { type LayerMetrics } from './output-metrics.js';
import { files } from '../../files/step-files.js';
import { type Network } from '../../network/network.js';
import type { ProbePlan } from './probe-plan.js';
import { chooseProbes, MAX_PROBED_RANK, probesWithMean, responseBasis } from '../../curves/sensitivity.js';
import { sensitivityOf } from './layer-effects.js';
import type { StepContext } from '../../step.js';

/** What curves are measured with. */
export interface Measuring {
  engine: Engine;
  network: Network;
  metrics: LayerMetrics;
  plan: ProbePlan;
  store: ActivationStore;
  spec: Assignment['spec'];
  output: string;
}

/**
 * Of every layer that is not blocked. `broken` are those whose numbers could not be worked with, by index, with the
 * reason.
 */
export async function measureCurves(
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
  const { statistics, fits, channelFits } = await layerStatistics(engine, problem, {
    components,
    shapes,
    pattern,
    narrows: canNarrow(layer, network.layers),
    seed,
    signal: context.signal,
  });
  context.progress(0.5);
  const candidates = costCurve(layer, statistics, components);
  const limited = chooseProbes(candidates, MAX_PROBED_RANK, plan.layerErrors);
  const after = matrix(samples, layer.m, activated(problem.activation, wanted));
  const probes = probesWithMean(limited, candidates, after);
  const maxRank = Math.max(1, ...probes.map(({ rank }) => rank));
  const basis = await responseBasis(engine, matrix(samples, layer.m, own), {
    size: maxRank,
    seed,
    metric: responseMetric(problem.metric),
    span: await responseSpan(engine, matrix(layer.m, layer.d, problem.weights)),
  });
  const progress = (fraction: number) => context.progress(0.5 + 0.5 * fraction);
  const rest = { store, plan, before };
  const effects = await sensitivityOf(
    network,
    layer,
    { basis, probes, fits, channelFits, rest },
    { ...context, progress },
  );
  const measured = withEffects(candidates, effects, isLast(layer, network));
  requireFinite(
    Float32Array.from(measured, ({ effect, error }) => effect + error),
    'the effect of an error on the outputs',
  );
  return { index, layer, candidates: measured, sensitivity: effects.ranks };
}

/** Whether channels that the layer does without need not be made. */
const canNarrow = ({ narrows }: Layer, layers: readonly Layer[]): boolean =>
  narrows !== undefined && layers.some(({ name, blocked }) => name === narrows.producer && blocked === null);

/** Whether no other layer sees what it makes. */
function isLast(layer: Layer, { prepared, layers }: Network): boolean {
  const index = new GraphIndex(prepared.graph);
  const read = new Set(layers.flatMap((other) => usesOf(other).map(({ input }) => input)));
  const seen = new Set(usesOf(layer).map(({ output }) => output));
  // A set grows while it is walked through.
  for (const tensor of seen) {
    if (read.has(tensor)) return false;
    for (const { output } of index.consumers(tensor)) for (const name of output) seen.add(name);
  }
  return true;
}
