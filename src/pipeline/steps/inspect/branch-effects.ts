import type { Spec } from '../../../jobs/spec.js';
import {
  branchesOf,
  DENSE,
  factoredCost,
  GraphIndex,
  operatorOf,
  Runner,
  usesOf,
  withoutBranches,
  type Branch,
  type Layer,
  type LayerCost,
  type Model,
  type Samples,
  type Tensor,
} from '../../../models/index.js';
import { BUDGETS } from '../../cost/budgets.js';
import { selectionOf } from '../../files/layer-rows.js';
import { passWork } from '../../cost/work.js';
import type { BranchCurve } from '../../curves/curves.js';
import { OutputError } from '../../network/compare/output-error.js';
import type { Network } from '../../network/network.js';
import { batches, floats } from '../../network/network-pass.js';
import { outputNames } from './layer-effects.js';
import type { StepContext } from '../../step.js';

/** A branch with less than this part of the parameters and of the multiply-accumulates is not worth a look. */
const LEAST_SHARE = 0.002;

/** A branch, and the layers in it by their places in the network. */
interface Possible {
  branch: Branch;
  inside: number[];
  /** Of the layers. */
  work: number;
}

/** The branches that may be left out, as far as the graph and the client say, and that are worth a look. Without all of them, layers are left. */
export function possibleBranches(
  { prepared, ...network }: Pick<Network, 'prepared' | 'parameters' | 'macs'>,
  layers: readonly Layer[],
  spec: Spec,
): Possible[] {
  if (spec.method.drop_branches !== true) return [];
  const whyKept = selectionOf(spec.method.layers);
  const possible = branchesOf(prepared).flatMap((branch): Possible[] => {
    const inside = layersIn(branch, layers);
    if (inside === null) return [];
    const all = inside.flatMap((index) => layers[index] ?? []);
    if (all.some((layer) => whyKept(layer) !== null) || all.every(({ blocked }) => blocked !== null)) return [];
    const share = (of: 'parameters' | 'macs') => sumOf(all, (layer) => layer[of]) / Math.max(1, network[of]);
    const work = passWork(all);
    return Math.max(share('parameters'), share('macs')) < LEAST_SHARE ? [] : [{ branch, inside, work }];
  });
  return leavingSome(possible, layers);
}

/** Without the largest ones, as long as all layers that can be compressed are in one of them. */
function leavingSome(possible: readonly Possible[], layers: readonly Layer[]): Possible[] {
  const open = [...layers.keys()].filter((index) => layers[index]?.blocked === null);
  const bySize = possible.toSorted((a, b) => a.work - b.work);
  const gone = () => new Set(bySize.flatMap(({ inside }) => inside));
  while (bySize.length > 0 && open.every((index) => gone().has(index))) bySize.pop();
  return possible.filter((one) => bySize.includes(one));
}

/** Work of the runs that branches are measured with. */
export function branchWork(network: Network, possible: readonly Possible[], images: number): number {
  const work = 2 * passWork(network.layers);
  return Math.min(BUDGETS.branches, possible.length * images * work);
}

/**
 * What the sum and the outputs lose by each branch that may be left out, alone, with nothing fitted again.
 *
 * @param layers of the network; those that are blocked go with their branch, too, but for those that the client named
 * @param images at most
 */
export async function measureBranches(
  network: Network,
  layers: readonly Layer[],
  { spec, images }: { spec: Spec; images: number },
  { threads, device, signal, progress }: Pick<StepContext, 'threads' | 'device' | 'signal' | 'progress'>,
): Promise<BranchCurve[]> {
  const { prepared } = network;
  const possible = possibleBranches(network, layers, spec);
  if (possible.length === 0) return [];
  const probe = await network.calibration.batch(0, network.fixedBatch ?? 1);
  const { measured, on } = affordable(network, await withEqualShapes(prepared, possible, probe, threads), images);
  const ranges = batches(on, network.batch);
  const sums = new Map(measured.map(({ branch: { sum } }) => [sum, behindActivation(prepared, sum)]));
  const outputs = new Set(outputNames(network));
  const capture = [...new Set(sums.values())].filter((name) => !outputs.has(name));
  const result: BranchCurve[] = [];
  const original = await Runner.open(prepared, { threads, device, capture });
  try {
    for (const [done, { branch, inside }] of measured.entries()) {
      const error = new OutputError(network.parts, [...outputs]);
      const moved = { squares: 0, total: 0 };
      const sum = sums.get(branch.sum) ?? branch.sum;
      // One at a time, and the original once more for each: many networks, or their maps, may not fit the memory.
      const changed = await Runner.open(withoutBranches(prepared, [branch.sum]), {
        threads,
        device,
        capture: capture.filter((name) => name === sum),
      });
      try {
        for (const { begin, end } of ranges) {
          signal.throwIfAborted();
          progress((done + begin / on) / measured.length);
          const samples = await network.calibration.batch(begin, end);
          const [before, after] = [await original.run(samples), await changed.run(samples)];
          error.addAll(new Map([...before].filter(([name]) => outputs.has(name))), after);
          addDifference(moved, before.get(sum), after.get(sum));
        }
      } finally {
        await changed.release();
      }
      const fixed = inside.flatMap((index) => (layers[index]?.blocked == null ? [] : [layers[index]]));
      const outputError = error.relative;
      const sumError = moved.total === 0 ? 1 : moved.squares / moved.total;
      if (Number.isFinite(outputError) && Number.isFinite(sumError))
        result.push({ sum: branch.sum, layers: inside, fixed: costOf(fixed), outputError, sumError });
    }
  } finally {
    await original.release();
  }
  return result;
}

/** Whatever runs cost: fewer images tell nothing. */
const FEWEST_IMAGES = 8;

/** The branches that are measured, and on how many images: the largest, where not all can be. None has another one of them inside. */
function affordable(
  { layers, fixedBatch }: Network,
  possible: readonly Possible[],
  images: number,
): { measured: Possible[]; on: number } {
  const sums = new Set(possible.map(({ branch }) => branch.sum));
  const innermost = possible.filter(({ branch }) => !branch.inner.some((sum) => sums.has(sum)));
  const work = Math.max(1, 2 * passWork(layers));
  const fewest = fixedBatch ?? Math.min(images, FEWEST_IMAGES);
  const count = Math.floor(BUDGETS.branches / (work * fewest));
  const largest = new Set(innermost.toSorted((a, b) => b.work - a.work).slice(0, count));
  const measured = innermost.filter((one) => largest.has(one));
  const each = Math.floor(BUDGETS.branches / (work * Math.max(1, measured.length)));
  const most = Math.min(images, Math.max(fewest, each));
  return { measured, on: fixedBatch === null ? most : Math.max(fixedBatch, most - (most % fixedBatch)) };
}

/** The tensor behind the activation of a sum, where nothing else reads the sum; else the sum itself. */
function behindActivation(model: Model, sum: string): string {
  const reader = new GraphIndex(model.graph).soleConsumer(sum);
  return reader !== null && ACTIVATIONS.has(operatorOf(reader)) ? (reader.output[0] ?? sum) : sum;
}

const ACTIVATIONS = new Set(['Relu', 'Clip', 'LeakyRelu', 'PRelu', 'HardSwish', 'Elu', 'Selu', 'Gelu', 'Mish']);

function addDifference(
  sums: { squares: number; total: number },
  before: Tensor | undefined,
  after: Tensor | undefined,
): void {
  if (before === undefined || after === undefined) throw new RangeError('a sum was not computed');
  const [a, b] = [floats(before), floats(after)];
  for (let i = 0; i < a.length; i++) {
    sums.squares += (a[i] - b[i]) ** 2;
    sums.total += a[i] ** 2;
  }
}

/** Layers by their places; null where one has a node outside of the branch as well, or is none that is known. */
function layersIn({ nodes }: Branch, layers: readonly Layer[]): number[] | null {
  const names = new Set(nodes);
  const inside = [...layers.entries()].filter(([, layer]) => usesOf(layer).some(({ name }) => names.has(name)));
  const used = inside.flatMap(([, layer]) => usesOf(layer).map(({ name }) => name));
  return used.length === names.size && used.every((name) => names.has(name)) ? inside.map(([index]) => index) : null;
}

/** A sum may also repeat the smaller of its tensors. */
async function withEqualShapes(
  prepared: Model,
  possible: readonly Possible[],
  samples: Samples,
  threads: number,
): Promise<Possible[]> {
  const given = new Map([...samples].map(([name, { dims }]) => [name, dims]));
  const capture = [...new Set(possible.flatMap(({ branch: { stays, goes } }) => [stays, goes]))].filter(
    (name) => !given.has(name),
  );
  const runner = await Runner.open(prepared, { threads, capture });
  try {
    const values = await runner.run(samples);
    const shapeOf = (name: string) => String(values.get(name)?.dims ?? given.get(name));
    return possible.filter(({ branch: { stays, goes } }) => shapeOf(stays) === shapeOf(goes));
  } finally {
    await runner.release();
  }
}

const sumOf = (layers: readonly Layer[], value: (layer: Layer) => number): number =>
  layers.reduce((sum, layer) => sum + value(layer), 0);

function costOf(layers: readonly Layer[]): LayerCost {
  const of = (name: keyof LayerCost) => sumOf(layers, (layer) => factoredCost(layer, DENSE)[name]);
  return {
    parameters: of('parameters'),
    nonzeros: of('nonzeros'),
    macs: of('macs'),
    work: of('work'),
    once: of('once'),
  };
}
