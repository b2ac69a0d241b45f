import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writtenFormat } from '../../../jobs/points.js';
import type { LayerRow } from '../../../jobs/results.js';
import { wishOf } from '../../../jobs/targets.js';
import type { AssembleResult, Assignment } from '../../../jobs/tasks.js';
import { DENSE, formatOf, inFormat, saveModel, type Factors, type Replacement } from '../../../models/index.js';
import { withChoice, withoutUnread } from '../../files/layer-rows.js';
import { readFactors } from '../../files/layer-file.js';
import { pointOf, solvedLayers } from '../../files/solved-layers.js';
import { smallest } from '../../files/smallest.js';
import { files } from '../../files/step-files.js';
import { openNetwork, type Network } from '../../network/network.js';
import { asksForQuality } from '../../network/quality.js';
import type { StepContext } from '../../step.js';
import { backOff, type BackedOff } from './back-off.js';
import { buildNetwork, type Built } from './build-network.js';

/**
 * Puts the solved layers of one point into the network; by default each is refitted on the inputs that the compressed
 * network gives it. Where the outputs were asked to be so good, a plan that does not keep it gives way to a less
 * compressed one.
 */
export async function assemble(assignment: Assignment, context: StepContext): Promise<AssembleResult> {
  const output = join(context.directory, 'output');
  await mkdir(output, { recursive: true });
  const network = await openNetwork(context, assignment);
  try {
    const point = pointOf(assignment);
    const layers = solvedLayers(assignment);
    const solved = new Map<number, Factors>();
    for (const { index, factors } of layers) solved.set(index, await readFactors(context.path(factors.key)));
    const backed = asksForQuality(point) ? await backOff(assignment, context, network, { point, solved }) : null;
    const built =
      backed?.built ?? (await buildNetwork(assignment, context, network, { solved, dropped: point.dropped ?? [] }));
    const { distilled, trained, compressed, coded, replacements, errors } = built;
    const format = writtenFormat(assignment.spec, network.original.format);
    if (coded !== null) await saveModel(inFormat(compressed, format), join(output, files.uncoded));
    const result = coded ?? compressed;
    const isSmall = wishOf(point.target).name === 'bytes_ratio';
    await saveModel(inFormat(isSmall ? smallest(result, network.original) : result, format), join(output, files.model));
    if (isSmall || !formatOf(format).keepsTensors) await saveModel(inFormat(result, 'onnx'), join(output, files.inner));
    const rows =
      backed === null || backed.asPlanned
        ? [
            ...layers.map(({ index, row }) => ({ ...row, relative_error: errors.get(index) ?? row.relative_error })),
            ...rowsOfBranches(assignment, network, built),
          ]
        : rowsOf(assignment, network, backed);
    const changed = [
      ...withoutOverflown(rows, network, built),
      ...rowsWithNewBias(rows, assignment, network, replacements),
    ];
    return {
      layers: withNarrowed(changed, assignment, network),
      ...(distilled.report === null ? {} : { distillation: distilled.report }),
      ...(distilled.why == null ? {} : { notDistilled: distilled.why }),
      ...(trained?.report == null ? {} : { codeDistillation: trained.report }),
      ...(backed === null ? {} : { unseen: backed.unseen, warnings: backed.warnings }),
      ...(backed?.coding === undefined ? {} : { coding: backed.coding }),
    };
  } finally {
    await network.close();
  }
}

/** Of a plan that another one has given way to. */
function rowsOf(assignment: Assignment, network: Network, { allocations, built }: BackedOff): LayerRow[] {
  const chosen = new Map(allocations.map((allocation) => [allocation.index, allocation]));
  return pointOf(assignment).layers.flatMap((row): LayerRow[] => {
    const layer = network.layers[row.index];
    const allocation = chosen.get(row.index);
    if (layer === undefined || (allocation === undefined && row.decision === 'dense')) return [];
    if (allocation === undefined)
      return [
        withChoice(row, layer, DENSE, layer.blocked ?? 'less compression of it keeps what was asked of the outputs'),
      ];
    const error = built.errors.get(row.index) ?? null;
    return [{ ...withChoice(row, layer, allocation, null), status: 'done', relative_error: error }];
  });
}

/** With the rows of layers of which fewer outputs are made. */
function withNarrowed(changed: readonly LayerRow[], assignment: Assignment, network: Network): LayerRow[] {
  const before = new Map(pointOf(assignment).layers.map((row) => [row.index, row]));
  const all = new Map([...before, ...changed.map((row): [number, LayerRow] => [row.index, row])]);
  return withoutUnread([...all.values()], network.layers).filter((row) => row !== before.get(row.index));
}

/** Layers of branches that are there again, as the network overflows without them. */
function rowsOfBranches(assignment: Assignment, network: Network, { dropped }: Built): LayerRow[] {
  const gone = new Set(dropped.flatMap(({ layers }) => layers));
  return pointOf(assignment).layers.flatMap((row) => {
    const layer = network.layers[row.index];
    return row.decision !== 'dropped' || gone.has(row.index) || layer === undefined
      ? []
      : [withChoice(row, layer, DENSE, layer.blocked ?? 'without it the network overflows on calibration samples')];
  });
}

/** Layers that make the network overflow are dense again. */
const withoutOverflown = (rows: readonly LayerRow[], network: Network, { overflown }: Built): LayerRow[] =>
  rows.map((row) => {
    const layer = network.layers[row.index];
    return layer !== undefined && overflown.has(layer.name)
      ? withChoice(row, layer, DENSE, 'its compressed form overflows on calibration samples')
      : row;
  });

/** Rows of layers that stay dense and had no bias, but have one since their refit. */
function rowsWithNewBias(
  changed: readonly LayerRow[],
  assignment: Assignment,
  network: Network,
  replacements: ReadonlyMap<string, Replacement>,
): LayerRow[] {
  const rows = new Map(pointOf(assignment).layers.map((row) => [row.index, row]));
  for (const row of changed) rows.set(row.index, row);
  return [...rows.values()].flatMap((row) => {
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
