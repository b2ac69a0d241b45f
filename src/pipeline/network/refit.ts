import { refitDense, refitLayer, solveLayer, type LayerProblem, type SolvedLayer } from '../../compression/index.js';
import { createEngine, type Engine } from '../../engines/index.js';
import type { Method } from '../../jobs/spec.js';
import type { Assignment, DroppedBranch } from '../../jobs/tasks.js';
import {
  addedTo,
  biasShifts,
  DENSE,
  denseWeights,
  groupsOf,
  inputNames,
  isAddedTo,
  patchOf,
  placesOfUses,
  putRows,
  rewrite,
  samplePatches,
  stillNeeded,
  usesOf,
  type Factors,
  type FloatTensor,
  type Layer,
  type Model,
  type Replacement,
} from '../../models/index.js';
import { ActivationStore } from '../files/activation-store.js';
import { finishedOne, keyOf } from '../files/finished.js';
import { readMetric, readResponse } from '../files/layer-file.js';
import { refittedLayers } from '../files/solved-layers.js';
import { files } from '../files/step-files.js';
import { breakdownOf } from './breakdown.js';
import type { Network } from './network.js';
import { runPart } from './network-pass.js';
import { placesIn, planSamples } from './sample-plan.js';
import type { StepContext } from '../step.js';

/** Of a layer's progress: the pass that computes its inputs. */
const INPUTS_SHARE = 0.4;

/**
 * One pass from the input to the output. Each layer sees what the layers before it, already compressed, make of the
 * calibration data, and is fitted against the original network's response at the same places (Zhang et al. 2015,
 * arXiv 1505.06798, section 3.3: asymmetric reconstruction). Where a skip branch is added, the branch is the compressed
 * network's too, so that the layer makes up for the branch's error as well.
 *
 * A layer whose refit breaks down stays as it was solved, or dense.
 *
 * @param network without the branches that are left out
 * @param leans how far the layers' fits lean on the original weights; absent: as far as held-out samples say, for each refit anew
 * @param errors gets the relative error of every layer after its refit
 */
export async function refitInOrder(
  assignment: Assignment,
  context: StepContext,
  network: Network,
  {
    solved,
    dropped = [],
    leans,
    errors,
  }: {
    solved: ReadonlyMap<number, Factors>;
    dropped?: readonly DroppedBranch[];
    leans?: ReadonlyMap<number, number>;
    errors: Map<number, number>;
  },
): Promise<Map<string, Replacement>> {
  const { method } = assignment.spec;
  const inspected = finishedOne(assignment, 'inspect');
  const order = refittedLayers(inspected.result.layers, [...solved.keys()], dropped);
  const replacements = new Map<string, Replacement>();
  const store = new ActivationStore(context.directory);
  const engine = await createEngine(context.engine, { threads: context.threads });
  try {
    for (const [step, index] of order.entries()) {
      context.signal.throwIfAborted();
      const layer = network.layers[index];
      if (layer === undefined) throw new RangeError(`the network has no layer ${String(index)}`);
      const within = (fraction: number) => context.progress((step + fraction) / order.length);
      const target = await readResponse(context.path(keyOf(inspected, files.response(index))));
      const current = rewrite(network.prepared, replacements);
      const problem = {
        ...(await problemIn(network, { current, store, layer, index, method }, context)),
        ...(await readMetric(context, inspected, index)),
        target,
      };
      within(INPUTS_SHARE);
      const factors = solved.get(index);
      try {
        if (factors === undefined || (factors.lowRank === null && factors.sparse === null)) {
          const dense = await refitDense(engine, problem);
          if (dense !== null) replacements.set(layer.name, dense);
        } else if (factors.lowRank === null && keptGroups(factors) === 0) {
          // Of weights that are zero nothing is kept, and there is nothing to refit.
          replacements.set(layer.name, factors);
        } else {
          const onIteration = (iteration: number) => {
            const done = Math.min(1, iteration / Math.max(1, method.max_iterations));
            within(INPUTS_SHARE + (1 - INPUTS_SHARE) * done);
          };
          const run = { ...context, onIteration, lean: leans?.get(index) };
          const fitted = await fit(engine, problem, factors, { method, run });
          replacements.set(layer.name, fitted.factors);
          errors.set(index, fitted.diagnostics.relativeError);
        }
      } catch (error) {
        if (breakdownOf(error) === null) throw error;
        if (factors !== undefined) replacements.set(layer.name, factors);
      }
      await dropUnneeded(network, store, order.slice(step + 1));
      within(1);
    }
    return replacements;
  } finally {
    await engine.dispose();
    await store.close();
  }
}

/** The layer as it stands in the network compressed so far. */
async function problemIn(
  network: Network,
  {
    current,
    store,
    layer,
    index,
    method,
  }: { current: Model; store: ActivationStore; layer: Layer; index: number; method: Method },
  context: StepContext,
): Promise<LayerProblem> {
  const { images, prepared } = network;
  const places = planSamples(layer, index, {
    images,
    samples: network.samples,
    memoryBytes: context.limits.layerMemoryBytes,
    seed: method.seed,
  });
  // An input depends on layers before it only, which are done. A branch may lead through layers still to be compressed.
  const mayKeep = (name: string) => !store.has(name) && !inputNames(prepared).includes(name);
  const visit = async (name: string, keep: boolean, take: (value: FloatTensor, rows: Rows) => void) => {
    await runPart(network, current, {
      store,
      to: name,
      images,
      threads: context.threads,
      device: context.device,
      visit: async (value, range) => {
        take(value, placesIn(places, range));
        if (keep) await store.append(name, value.data, value.dims);
      },
      signal: context.signal,
    });
  };
  const inputs = new Float32Array(places.images.length * layer.d);
  for (const [i, { input }] of usesOf(layer).entries()) {
    // What a further use reads may depend on this very layer.
    await visit(input, i === 0 && mayKeep(input), (value, { from, chosen }) => {
      const use = placesOfUses(layer, chosen)[i];
      if (use === undefined) return;
      const own = samplePatches(value, use.layer, use.chosen);
      putRows(inputs.subarray(from * layer.d), use, own, layer.d);
    });
  }
  const problem: LayerProblem = {
    ...denseWeights(prepared, layer),
    inputs,
    ...patchOf(layer),
    activation: layer.activation,
  };
  if (!isAddedTo(layer)) return problem;
  const skip = new Float32Array(places.images.length * layer.m);
  const shifts = layer.uses === undefined ? [] : biasShifts(prepared, layer);
  for (const [i, { skip: branch }] of usesOf(layer).entries()) {
    const take = (value: FloatTensor | null, { from, chosen }: Rows) => {
      const use = placesOfUses(layer, chosen)[i];
      if (use !== undefined) putRows(skip.subarray(from * layer.m), use, addedTo(use, value, shifts), layer.m);
    };
    if (branch === null || !isMade(current, branch.other)) take(null, { from: 0, chosen: places });
    else await visit(branch.other, false, take);
  }
  return { ...problem, skip };
}

/** A branch may have been left out. */
const isMade = (model: Model, name: string): boolean =>
  inputNames(model).includes(name) || model.graph.node.some(({ output }) => output.includes(name));

/** Some of the places of a layer, and which row of all is the first of them. */
type Rows = ReturnType<typeof placesIn>;

/** A map is kept while a later layer's input or branch is computed from it. */
async function dropUnneeded(network: Network, store: ActivationStore, rest: readonly number[]): Promise<void> {
  const wanted = rest.flatMap((index) => {
    const layer = network.layers[index];
    if (layer === undefined) return [];
    return usesOf(layer).flatMap(({ input, skip }) =>
      skip === null || !isMade(network.prepared, skip.other) ? [input] : [input, skip.other],
    );
  });
  const needed = stillNeeded(network.prepared, store.names(), wanted);
  for (const name of store.names()) if (!needed.has(name)) await store.drop(name);
}

const keptGroups = ({ sparse, bias }: Factors): number => (sparse === null ? 0 : groupsOf(sparse, bias.length));

async function fit(
  engine: Engine,
  problem: LayerProblem,
  factors: Factors,
  {
    method,
    run: { signal, onIteration, lean },
  }: {
    method: Method;
    run: { signal: AbortSignal; onIteration: (iteration: number) => void; lean: number | undefined };
  },
): Promise<SolvedLayer> {
  const options = {
    reconstruction: method.reconstruction,
    maxIterations: method.max_iterations,
    seed: method.seed,
    signal,
    onIteration,
    ...(lean === undefined ? {} : { lean }),
  };
  if (method.inputs === 'refit') return refitLayer(engine, problem, factors, options);
  const { shape, rank, inner } = factors.lowRank ?? DENSE;
  const { sparse } = factors;
  const groups = keptGroups(factors);
  const size = { shape, rank, inner, groups, ...(sparse === null ? {} : { pattern: sparse.pattern }) };
  return solveLayer(engine, problem, size, options);
}
