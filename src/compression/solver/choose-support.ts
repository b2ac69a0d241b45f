import { isMasked, PATTERN, PLAIN_PATTERN } from '../../models/sparse/index.js';
import { difference } from '../linalg/columns.js';
import { maskedInputs } from '../regression/masked-step.js';
import { chooseMasked, keptPart, type ChosenPart } from '../sparse/masked-part.js';
import { channelsByImportance, MAX_ELIMINATED_COLUMNS } from '../sparse/eliminate-channels.js';
import { selectChannels, type Selection } from '../sparse/select-channels.js';
import type { LayerRun } from './set-up.js';

/**
 * Where the sparse part may be other than zero: at whole columns, or, with `masked`, at entries of its own for every
 * output.
 */
export interface ChosenSupport {
  /** Kept groups of columns, ascending, and the columns of one. */
  groups: number[];
  width: number;
  masked: ChosenPart | null;
  dispose(): void;
}

/** Of a kept part where there is one, else found beside the low-rank part. */
export async function chooseSupport(run: LayerRun): Promise<ChosenSupport> {
  const { engine, problem, shape, size, inputs, target, skip, space, rank, random, options } = run;
  const { groups, pattern } = size;
  const own = skip === undefined ? target : difference(target, skip);
  const selection: Selection = { inputs, target: own, space, groups, rank, random };
  const kept = options.keep?.sparse ?? null;
  const width = PATTERN[pattern].width(problem.taps);
  if (!isMasked(pattern) || groups === 0) {
    // A group of columns is a channel of a layer with as many taps.
    const view = { ...problem, channels: shape.d / width, taps: width };
    const alone = size.rank === 0 && pattern === PLAIN_PATTERN && shape.d <= MAX_ELIMINATED_COLUMNS;
    const found = kept?.kept ?? (alone ? await leastMissed(run) : await selectChannels(engine, view, selection));
    return { groups: found, width, masked: null, dispose: () => undefined };
  }
  const held = await maskedInputs(engine, inputs);
  try {
    const { channels } = problem;
    const request = { engine, pattern, inputs: held, ridge: run.ridge };
    const masked =
      kept === null
        ? await chooseMasked(request, { weights: run.weights, channels }, selection)
        : keptPart(request, kept, { ...shape, channels });
    return { groups: [], width, masked, dispose: () => held.dispose() };
  } catch (error) {
    held.dispose();
    throw error;
  }
}

/** Of a layer that keeps some channels and nothing else. Ascending. */
async function leastMissed({ engine, problem, size, inputs, weights, metric }: LayerRun): Promise<number[]> {
  const order = await channelsByImportance(engine, { inputs, weights, taps: problem.taps, metric });
  return order.slice(0, size.groups).sort((a, b) => a - b);
}
