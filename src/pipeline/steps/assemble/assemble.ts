import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { LayerRow } from '../../../jobs/results.js';
import type { AssembleResult, Assignment } from '../../../jobs/tasks.js';
import { DENSE, rewrite, Runner, saveModel, type Factors, type Replacement } from '../../../models/index.js';
import { InfrastructureError } from '../../../errors/index.js';
import { codeNetwork } from './code-network.js';
import { distill } from './distill.js';
import { overflowing } from './overflow.js';
import { withChoice } from '../../files/layer-rows.js';
import { firstBad } from '../../network/non-finite.js';
import { readFactors } from '../../files/layer-file.js';
import { pointOf, solvedLayers } from '../../files/solved-layers.js';
import { files } from '../../files/step-files.js';
import { openNetwork, type Network } from '../../network/network.js';
import { refitInOrder } from '../../network/refit.js';
import type { StepContext } from '../../step.js';

/** Of the progress of this step, what the refit takes; the rest is distillation. */
const REFIT_SHARE = 0.6;

/** Puts the solved layers of one point into the network; by default each is refitted on the inputs that the compressed network gives it. */
export async function assemble(assignment: Assignment, context: StepContext): Promise<AssembleResult> {
  const { method } = assignment.spec;
  const output = join(context.directory, 'output');
  await mkdir(output, { recursive: true });
  const network = await openNetwork(context, assignment);
  try {
    const layers = solvedLayers(assignment);
    const solved = new Map<number, Factors>();
    for (const { index, factors } of layers) solved.set(index, await readFactors(context.path(factors.key)));
    const errors = new Map<number, number>();
    const replacements =
      method.inputs === 'symmetric'
        ? new Map([...solved].map(([index, factors]): [string, Replacement] => [nameOf(network, index), factors]))
        : await refitInOrder(assignment, within(context, 0, REFIT_SHARE), network, { solved, errors });
    const overflown = new Set<string>();
    let built = await build(assignment, context, network, replacements);
    // What fits the samples may overflow elsewhere. With no layer replaced the network is the original, whose outputs are numbers.
    while (!built.finite) {
      const images = await firstImages(network);
      const name = await overflowing(network, replacements, images, context.threads);
      const dropped = name ?? replacements.keys().next().value;
      if (dropped === undefined) throw new InfrastructureError('compute_failed', 'the network as it came overflows');
      replacements.delete(dropped);
      overflown.add(dropped);
      built = await build(assignment, context, network, replacements);
    }
    const { distilled, compressed, coded } = built;
    if (coded !== null) await saveModel(compressed, join(output, files.uncoded));
    const result = coded ?? compressed;
    await saveModel(result, join(output, files.model));
    return {
      layers: [
        ...layers.map(({ index, row }) => {
          const layer = network.layers[index];
          return layer !== undefined && overflown.has(layer.name)
            ? withChoice(row, layer, DENSE, 'its compressed form overflows on calibration samples')
            : { ...row, relative_error: errors.get(index) ?? row.relative_error };
        }),
        ...rowsWithNewBias(assignment, network, replacements),
      ],
      ...(distilled === null ? {} : { distillation: distilled.report }),
    };
  } finally {
    await network.close();
  }
}

/** The network with these layers, distilled and coded as the specification says, and whether its first outputs are numbers. */
async function build(
  assignment: Assignment,
  context: StepContext,
  network: Network,
  replacements: ReadonlyMap<string, Replacement>,
) {
  const fitted = rewrite(network.prepared, replacements);
  const { distillation_passes: passes, seed } = assignment.spec.method;
  const distilled = await distill(network, fitted, { passes, seed }, within(context, REFIT_SHARE, 0.95));
  const compressed = distilled?.model ?? fitted;
  const coded = await codeNetwork(assignment, compressed, network, context);
  const result = coded ?? compressed;
  const runner = await Runner.open(result, { threads: context.threads });
  try {
    // The runtime has to take the rewritten model before anybody else gets it.
    const values = await runner.run(await firstImages(network));
    const names = result.graph.output.map(({ name }) => name);
    return { distilled, compressed, coded, finite: firstBad(values, names) === null };
  } finally {
    await runner.release();
  }
}

const firstImages = ({ calibration, images, batch }: Network) => calibration.batch(0, Math.min(images, batch));

/** Lets a part of the step report its own progress, from 0 to 1. */
const within = (context: StepContext, from: number, to: number): StepContext => ({
  ...context,
  progress: (share) => {
    context.progress(from + (to - from) * share);
  },
});

/** Rows of layers that stay dense and had no bias, but have one since their refit. */
function rowsWithNewBias(
  assignment: Assignment,
  network: Network,
  replacements: ReadonlyMap<string, Replacement>,
): LayerRow[] {
  return pointOf(assignment).layers.flatMap((row) => {
    const layer = network.layers[row.index];
    const refitted = layer === undefined ? undefined : replacements.get(layer.name);
    if (layer === undefined || layer.hasBias || refitted === undefined || 'lowRank' in refitted) return [];
    const grown = ({ before, after }: LayerRow['parameters']) => ({
      before,
      after: after + layer.m,
      ratio: before / (after + layer.m),
    });
    return [{ ...row, parameters: grown(row.parameters), nonzeros: grown(row.nonzeros ?? row.parameters) }];
  });
}

function nameOf(network: Network, index: number): string {
  const layer = network.layers[index];
  if (layer === undefined) throw new RangeError(`the model has no layer ${String(index)}`);
  return layer.name;
}
