import { InfrastructureError } from '../../../errors/index.js';
import { USUAL_EFFORT, type Method } from '../../../jobs/spec.js';
import type { Assignment, DroppedBranch } from '../../../jobs/tasks.js';
import {
  codingOf,
  rewrite,
  Runner,
  usesOf,
  withoutBypasses,
  type Factors,
  type Model,
  type Replacement,
} from '../../../models/index.js';
import { distillationBudget, type DistillationBudget } from '../../cost/effort.js';
import { finishedOne } from '../../files/finished.js';
import { selectionOf } from '../../files/layer-rows.js';
import { pointCoding } from '../../files/solved-layers.js';
import { firstBad } from '../../network/non-finite.js';
import type { Network } from '../../network/network.js';
import { refitInOrder } from '../../network/refit.js';
import { withoutDropped } from '../../network/without-dropped.js';
import { partOf, type StepContext } from '../../step.js';
import { codeNetwork } from './code-network.js';
import { distill, type Distilled, type Setting } from './distill.js';
import { allOf } from './trained.js';
import { overflowing } from './overflow.js';
import { trainedCodes } from './trained-codes.js';

/** Of the progress of this step, what the refit takes; the rest is distillation. */
const REFIT_SHARE = 0.6;

/** A network that is ready to be saved. */
export interface Built {
  distilled: Distilled;
  /** The same of weights in a codebook. */
  trained: Distilled | null;
  /** With float32 weights. */
  compressed: Model;
  /** With coded weights, where they are to be coded. */
  coded: Model | null;
  replacements: ReadonlyMap<string, Replacement>;
  /** Layers that were put back because the network would not give numbers with them. */
  overflown: ReadonlySet<string>;
  /** Relative errors of the layers after their refit, by index. */
  errors: ReadonlyMap<number, number>;
  /** Branches that it is without. */
  dropped: readonly DroppedBranch[];
}

/**
 * Puts solved layers into the network: refitted in order, distilled and coded as the specification says, tried on
 * samples.
 * @param share of what the effort affords, where several networks are built for one target
 */
export async function buildNetwork(
  assignment: Assignment,
  context: StepContext,
  network: Network,
  {
    solved,
    dropped = [],
    share = 1,
  }: { solved: ReadonlyMap<number, Factors>; dropped?: readonly DroppedBranch[]; share?: number },
): Promise<Built> {
  const { method } = assignment.spec;
  const budget = budgetOf(assignment, share);
  const errors = new Map<number, number>();
  const left = withoutDropped(network, dropped);
  const replacements =
    method.inputs === 'symmetric'
      ? new Map([...solved].map(([index, factors]): [string, Replacement] => [nameOf(network, index), factors]))
      : await refitInOrder(assignment, partOf(context, 0, REFIT_SHARE), left, { solved, dropped, errors });
  const overflown = new Set<string>();
  let built = await finish(assignment, context, network, { left, replacements, budget });
  // What fits the samples may overflow elsewhere. With no layer replaced the network is the original, whose outputs are
  // numbers.
  while (!built.finite) {
    const images = await firstImages(network);
    const name = await overflowing(left, replacements, images, context.threads);
    const replaced = name ?? replacements.keys().next().value;
    // Each branch alone can be done without, as far as its own run said.
    if (replaced === undefined && dropped.length > 0)
      return buildNetwork(assignment, context, network, { solved, share });
    if (replaced === undefined) throw new InfrastructureError('compute_failed', 'the network as it came overflows');
    replacements.delete(replaced);
    overflown.add(replaced);
    built = await finish(assignment, context, network, { left, replacements, budget });
  }
  const { distilled, trained, compressed, coded } = built;
  return { distilled, trained, compressed, coded, replacements, overflown, errors, dropped };
}

/** For one target, of which it is `share`. */
function budgetOf(assignment: Assignment, share: number): DistillationBudget {
  const { spec } = assignment;
  const allowed = finishedOne(assignment, 'inspect').result.distillation ?? [];
  const seconds = allowed[(assignment.point ?? 1) - 1] ?? 0;
  const { work, ...budget } = distillationBudget(spec.effort ?? USUAL_EFFORT, seconds);
  return { ...budget, work: share * work };
}

/** The network with these layers, distilled and coded, and whether its first outputs are numbers. */
async function finish(
  assignment: Assignment,
  context: StepContext,
  network: Network,
  {
    left: { prepared },
    replacements,
    budget,
  }: { left: Network; replacements: ReadonlyMap<string, Replacement>; budget: DistillationBudget },
) {
  const fitted = rewrite(prepared, replacements);
  const isLessDeep = prepared !== network.prepared;
  const { method } = assignment.spec;
  const coding = pointCoding(assignment);
  const isTrained = codingOf(coding).coder === 'codebook';
  const setting = {
    ...{ passes: method.distillation_passes, budget, seed: method.seed },
    ...(isLessDeep ? { trained: allOf(fitted, namedNodes(network, method)) } : {}),
  };
  const [first, second] = isTrained ? withCodesBehind(setting) : [setting, setting];
  const middle = isTrained ? REFIT_SHARE + BEFORE_CODES * (0.95 - REFIT_SHARE) : 0.95;
  const distilled = await distill(network, fitted, first, partOf(context, REFIT_SHARE, middle));
  const changed = distilled.model ?? fitted;
  const compressed = isLessDeep ? withoutBypasses(changed) : changed;
  const given = await codeNetwork(assignment, { compressed, coding }, network, context);
  const codes = given?.codes ?? null;
  const trained =
    codes === null
      ? null
      : await distill(
          network,
          compressed,
          // Where its part affords nothing, all of it is left.
          { ...(distilled.model === null ? setting : second), trained: trainedCodes(compressed, codes) },
          partOf(context, middle, 0.95),
        );
  const coded = trained?.model ?? given?.model ?? null;
  const result = coded ?? compressed;
  const runner = await Runner.open(result, { threads: context.threads });
  try {
    // The runtime has to take the rewritten model before anybody else gets it.
    const values = await runner.run(await firstImages(network));
    const names = result.graph.output.map(({ name }) => name);
    return { distilled, trained, compressed, coded, finite: firstBad(values, names) === null };
  } finally {
    await runner.release();
  }
}

/**
 * Of what may be spent, what is for the network before its weights are coded: steps that follow directions come further than those with codes.
 * ResNet-20 at 16x fewer bytes, 111 passes: error 0.294, with a half of them before 0.301.
 */
const BEFORE_CODES = 0.3;

function withCodesBehind({ passes, budget, ...rest }: Setting): [Setting, Setting] {
  const before = Math.floor(BEFORE_CODES * (passes ?? 0));
  const part = (share: number) => ({ ...budget, work: share * budget.work, passes: share * budget.passes });
  return [
    { passes: passes === null ? null : before, budget: part(BEFORE_CODES), ...rest },
    { passes: passes === null ? null : passes - before, budget: part(1 - BEFORE_CODES), ...rest },
  ];
}

/** Nodes of the layers that the client wants as they are. */
function namedNodes({ layers }: Network, method: Method): Set<string> {
  const whyKept = selectionOf(method.layers);
  const kept = layers.filter((layer) => whyKept(layer) !== null);
  return new Set(kept.flatMap((layer) => usesOf(layer).map(({ name }) => name)));
}

const firstImages = ({ calibration, images, batch }: Network) => calibration.batch(0, Math.min(images, batch));

function nameOf(network: Network, index: number): string {
  const layer = network.layers[index];
  if (layer === undefined) throw new RangeError(`the model has no layer ${String(index)}`);
  return layer.name;
}
