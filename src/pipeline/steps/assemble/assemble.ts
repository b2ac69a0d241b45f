import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { LayerRow } from '../../../jobs/results.js';
import type { AssembleResult, Assignment } from '../../../jobs/tasks.js';
import { rewrite, Runner, saveModel, type Factors, type Replacement } from '../../../models/index.js';
import { codeNetwork } from './code-network.js';
import { distill } from './distill.js';
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
  const { spec } = assignment;
  const output = join(context.directory, 'output');
  await mkdir(output, { recursive: true });
  const network = await openNetwork(context, assignment);
  try {
    const layers = solvedLayers(assignment);
    const solved = new Map<number, Factors>();
    for (const { index, factors } of layers) solved.set(index, await readFactors(context.path(factors.key)));
    const errors = new Map<number, number>();
    const replacements =
      spec.method.inputs === 'symmetric'
        ? new Map([...solved].map(([index, factors]): [string, Replacement] => [nameOf(network, index), factors]))
        : await refitInOrder(assignment, within(context, 0, REFIT_SHARE), network, solved, errors);
    const fitted = rewrite(network.prepared, replacements);
    const { distillation_passes: passes, seed } = spec.method;
    const distilled = await distill(network, fitted, { passes, seed }, within(context, REFIT_SHARE, 0.95));
    const compressed = distilled?.model ?? fitted;
    const coded = await codeNetwork(assignment, compressed, network, context);
    if (coded !== null) await saveModel(compressed, join(output, files.uncoded));
    const result = coded ?? compressed;
    const runner = await Runner.open(result, { threads: context.threads });
    try {
      // The runtime has to take the rewritten model before anybody else gets it.
      await runner.run(await network.calibration.batch(0, Math.min(network.images, network.batch)));
    } finally {
      await runner.release();
    }
    await saveModel(result, join(output, files.model));
    return {
      layers: [
        ...layers.map(({ index, row }) => ({ ...row, relative_error: errors.get(index) ?? row.relative_error })),
        ...rowsWithNewBias(assignment, network, replacements),
      ],
      ...(distilled === null ? {} : { distillation: distilled.report }),
    };
  } finally {
    await network.close();
  }
}

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
