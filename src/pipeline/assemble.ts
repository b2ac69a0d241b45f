import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { refitLayer, solveLayer, type LayerProblem, type SolvedLayer } from '../compression/index.js';
import { createEngine, type Engine } from '../engines/index.js';
import type { LayerRow } from '../jobs/results.js';
import type { Method } from '../jobs/spec.js';
import type { AssembleResult, Assignment } from '../jobs/tasks.js';
import {
  denseWeights,
  rewrite,
  Runner,
  samplePatches,
  saveModel,
  stillNeeded,
  type Factors,
  type Replacement,
} from '../models/index.js';
import { ActivationStore } from './activation-store.js';
import { finishedOf, finishedOne, keyOf } from './finished.js';
import { files, readFactors, readResponse } from './layer-file.js';
import { openNetwork, type Network } from './network.js';
import { runPart } from './network-pass.js';
import { planSamples, rowsOf } from './sample-plan.js';
import type { StepContext } from './step.js';

/** Puts the solved layers into the network; by default each is refitted on the inputs that the compressed network gives it. */
export async function assemble(assignment: Assignment, context: StepContext): Promise<AssembleResult> {
  const { spec, inputs } = assignment;
  const output = join(context.directory, 'output');
  await mkdir(output, { recursive: true });
  const network = await openNetwork(context, inputs.model.key, inputs.calibration.key);
  try {
    const solved = new Map<number, Factors>();
    for (const task of finishedOf(assignment, 'layer')) {
      if (task.layer !== null) solved.set(task.layer, await readFactors(context.path(keyOf(task, files.factors))));
    }
    const changed: LayerRow[] = [];
    const replacements =
      spec.method.inputs === 'symmetric'
        ? new Map([...solved].map(([index, factors]): [string, Replacement] => [nameOf(network, index), factors]))
        : await refitInOrder(assignment, context, network, solved, changed);
    const compressed = rewrite(network.prepared, replacements);
    const runner = await Runner.open(compressed, { threads: context.threads });
    try {
      // The runtime has to take the rewritten model before anybody else gets it.
      await runner.run(await network.calibration.batch(0, Math.min(network.images, network.batch)));
    } finally {
      await runner.release();
    }
    await saveModel(compressed, join(output, files.model));
    return { layers: changed };
  } finally {
    await network.close();
  }
}

function nameOf(network: Network, index: number): string {
  const layer = network.layers[index];
  if (layer === undefined) throw new RangeError(`the model has no layer ${String(index)}`);
  return layer.name;
}

/**
 * One pass from the input to the output. Each layer sees what the layers before it, already compressed, make of the
 * calibration data, and is fitted against the original network's response at the same places (Zhang et al. 2015,
 * arXiv 1505.06798, section 3.3: asymmetric reconstruction).
 */
async function refitInOrder(
  assignment: Assignment,
  context: StepContext,
  network: Network,
  solved: ReadonlyMap<number, Factors>,
  changed: LayerRow[],
): Promise<Map<string, Replacement>> {
  const { method } = assignment.spec;
  const inspected = finishedOne(assignment, 'inspect');
  const order = [...solved.keys()].sort((a, b) => a - b);
  const replacements = new Map<string, Replacement>();
  const store = new ActivationStore(context.directory);
  const engine = await createEngine(context.engine, { threads: context.threads });
  try {
    for (const [step, index] of order.entries()) {
      context.signal.throwIfAborted();
      const factors = solved.get(index);
      const layer = network.layers[index];
      if (factors === undefined || layer === undefined) throw new RangeError(`layer ${String(index)} was not solved`);
      const name = layer.name;
      const current = rewrite(network.prepared, replacements);
      const places = planSamples(
        layer,
        index,
        network.images,
        method.samples,
        context.limits.layerMemoryBytes,
        method.seed,
      );
      const patches = new Float32Array(places.images.length * layer.d);
      const keep = !store.has(layer.input) && layer.input !== network.prepared.graph.input[0]?.name;
      await runPart(
        network,
        current,
        store,
        layer.input,
        network.images,
        context.threads,
        async (value, { begin, end }) => {
          const [from, to] = rowsOf(places, begin, end);
          const chosen = {
            images: places.images.subarray(from, to).map((i) => i - begin),
            positions: places.positions.subarray(from, to),
          };
          patches.set(samplePatches(value, layer, chosen), from * layer.d);
          if (keep) await store.append(layer.input, value.data, value.dims);
        },
        context.signal,
      );
      const problem = {
        ...denseWeights(network.prepared, layer),
        inputs: patches,
        channels: layer.channels,
        taps: layer.d / layer.channels,
        activation: layer.activation,
        target: await readResponse(context.path(keyOf(inspected, files.response(index)))),
      };
      const fitted = await fit(engine, problem, factors, method, context);
      replacements.set(name, fitted.factors);
      const row = finishedOf(assignment, 'layer').find((task) => task.layer === index)?.result.layer;
      if (row !== undefined) changed.push({ ...row, relative_error: fitted.diagnostics.relativeError });
      const rest = order.slice(step + 1).map((next) => network.layers[next]?.input ?? '');
      const needed = stillNeeded(network.prepared, store.names(), rest);
      for (const held of store.names()) if (!needed.has(held)) await store.drop(held);
      context.progress(0.95 * ((step + 1) / order.length));
    }
    return replacements;
  } finally {
    await engine.dispose();
    await store.close();
  }
}

async function fit(
  engine: Engine,
  problem: LayerProblem,
  factors: Factors,
  method: Method,
  context: StepContext,
): Promise<SolvedLayer> {
  const options = {
    reconstruction: method.reconstruction,
    maxIterations: method.max_iterations,
    seed: method.seed,
    signal: context.signal,
  };
  if (method.inputs === 'refit') return refitLayer(engine, problem, factors, options);
  const size = { rank: factors.lowRank?.rank ?? 0, groups: factors.sparse?.channels.length ?? 0 };
  return solveLayer(engine, problem, size, options);
}
