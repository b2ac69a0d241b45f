import type { Warning } from '../../../jobs/results.js';
import type { Assignment, LayerAllocation, PlannedPoint } from '../../../jobs/tasks.js';
import { createEngine } from '../../../engines/index.js';
import type { Factors, Model, WeightCodingName } from '../../../models/index.js';
import { finishedOne, keyOf } from '../../files/finished.js';
import { readMetric, readProblem } from '../../files/layer-file.js';
import { files } from '../../files/step-files.js';
import type { Network } from '../../network/network.js';
import {
  askedAnswers,
  boundsOf,
  openQualityData,
  qualityOf,
  together,
  within as holds,
  type Quality,
} from '../../network/quality.js';
import { solveOrKeep } from '../../network/solve-or-keep.js';
import { partOf, type StepContext } from '../../step.js';
import { buildNetwork, type Built } from './build-network.js';
import { codeNetwork } from './code-network.js';
import { firstThatHolds } from './first-that-holds.js';
import { openCodings, smallerCoded, stepsToCode, type Judged } from './smaller-coded.js';

/** What came of a ladder of plans. */
export interface BackedOff {
  built: Built;
  /** Of the ladder; the last of all is the network as it came. */
  allocations: readonly LayerAllocation[];
  /** Whether it is the plan itself. */
  asPlanned: boolean;
  /** On the samples that no search has seen. */
  unseen: Quality;
  /** Of the coded weights, where that was left open. */
  coding?: WeightCodingName;
  warnings: Warning[];
}

/** Of the progress, where weights are coded afterwards if that keeps what was asked. */
const BUILDING_SHARE = 0.7;

/**
 * Of progress and effort, what each network may take; how many there will be is not known. The one behind the first is there for the case that it was
 * missed by little.
 */
const shareOf = (before: number): number =>
  before === 0 ? 1 / 2 : before === 1 ? 1 / 8 : (3 / 8) * 0.5 ** (before - 1);

interface Tried {
  built: Built;
  coded: Judged;
  plain: Judged;
}

/**
 * The most compressed of the planned networks whose outputs, after all steps, are as good as was asked: on the samples
 * that the search did not see, and on all together. Each plan is less compressed than the one before; the last is the
 * network as it came. Where coded weights are at fault with every plan, they stay as they are. Where it was left open how weights are
 * kept, they are coded if that keeps what was asked and makes a smaller file.
 */
export async function backOff(
  assignment: Assignment,
  context: StepContext,
  network: Network,
  { point, solved }: { point: PlannedPoint; solved: ReadonlyMap<number, Factors> },
): Promise<BackedOff> {
  const ladder = [point.allocations, ...(point.fallbacks ?? []), []];
  const bounds = boundsOf({ ...assignment.spec, target: point.target });
  const known = new Map<string, Factors>();
  for (const allocation of point.allocations) {
    const factors = solved.get(allocation.index);
    if (factors !== undefined) known.set(JSON.stringify(allocation), factors);
  }
  const codings = openCodings(assignment.spec, network.original);
  const building = partOf(context, 0, codings.length === 0 ? 1 : BUILDING_SHARE);
  const data = await openQualityData(assignment, network, context);
  const tried = new Map<number, Tried>();
  let spent = 0;
  try {
    const measuring = { threads: context.threads, signal: context.signal, answers: askedAnswers(assignment.spec) };
    const judge = async (model: Model): Promise<Judged> => {
      const unseen = await qualityOf(network.original, model, data.unseen, measuring);
      if (!holds(bounds, unseen)) return { holds: false, unseen };
      if (assignment.inputs.evaluation === null) return { holds: true, unseen };
      const seen = await qualityOf(network.original, model, data.search, measuring);
      return { holds: holds(bounds, together(seen, unseen)), unseen };
    };
    const attempt = async (step: number): Promise<Tried> => {
      const before = tried.get(step);
      if (before !== undefined) return before;
      const share = shareOf(tried.size);
      const inner = partOf(building, spent, spent + share);
      spent += share;
      const factors = await solveAll(assignment, inner, ladder[step] ?? [], known);
      const dropped = step === 0 ? (point.dropped ?? []) : [];
      const built = await buildNetwork(assignment, inner, network, { solved: factors, dropped, share });
      const coded = await judge(built.coded ?? built.compressed);
      const plain = built.coded === null || coded.holds ? coded : await judge(built.compressed);
      tried.set(step, { built, coded, plain });
      return { built, coded, plain };
    };
    const step = await firstThatHolds(ladder.length, async (i) => (await attempt(i)).coded.holds);
    const result = (i: number, kind: 'coded' | 'plain', warnings: Warning[]): BackedOff => {
      const found = tried.get(i);
      if (found === undefined) throw new RangeError('a plan that was not tried');
      const built = kind === 'coded' ? found.built : { ...found.built, coded: null };
      const allocations = ladder[i] ?? [];
      return { built, allocations, asPlanned: i === 0, unseen: found[kind].unseen, warnings };
    };
    if (step !== null) {
      const { compressed: holding } = (await attempt(step)).built;
      const sizes = { holding, last: network.prepared };
      const steps = stepsToCode(assignment.spec, { steps: ladder.length, holding: step, sizes });
      const most = steps.length * codings.length;
      let begun = 0;
      const coding = (done: number) => context.progress(BUILDING_SHARE + ((1 - BUILDING_SHARE) * done) / most);
      const found = await smallerCoded(codings, {
        steps,
        attempt: async (i) => (await attempt(i)).built.compressed,
        code: async (compressed, name) => {
          coding(begun++);
          return (await codeNetwork(assignment, { compressed, coding: name }, network, context))?.model ?? null;
        },
        judge,
      });
      if (found === null) return result(step, 'coded', []);
      const { built, ...rest } = result(found.step, 'plain', []);
      return { ...rest, built: { ...built, coded: found.model }, coding: found.coding, unseen: found.unseen };
    }
    const plain = await firstThatHolds(ladder.length, async (i) => (await attempt(i)).plain.holds);
    return result(plain ?? ladder.length - 1, 'plain', plain === null ? [] : [CODING_LEFT_OUT]);
  } finally {
    await data.close();
  }
}

const CODING_LEFT_OUT: Warning = {
  code: 'coding_left_out',
  cause: 'with coded weights no network keeps what was asked of the outputs, not even the one that was sent',
  next: 'the weights are float32; ask for another coding, or allow more',
};

/** The layers of a plan; those that were solved before are taken from there. */
async function solveAll(
  assignment: Assignment,
  context: StepContext,
  allocations: readonly LayerAllocation[],
  known: Map<string, Factors>,
): Promise<Map<number, Factors>> {
  const { method } = assignment.spec;
  const inspected = finishedOne(assignment, 'inspect');
  const result = new Map<number, Factors>();
  const engine = await createEngine(context.engine, { threads: context.threads });
  try {
    for (const allocation of allocations) {
      context.signal.throwIfAborted();
      const { index } = allocation;
      const key = JSON.stringify(allocation);
      let factors = known.get(key);
      if (factors === undefined) {
        const { problem: sampled } = await readProblem(context.path(keyOf(inspected, files.samples(index))));
        const problem = { ...sampled, ...(await readMetric(context, inspected, index)) };
        const solved = await solveOrKeep(engine, problem, allocation, {
          reconstruction: method.reconstruction,
          maxIterations: method.max_iterations,
          seed: method.seed,
          signal: context.signal,
        });
        factors = 'reason' in solved ? { lowRank: null, sparse: null, bias: problem.bias } : solved.factors;
        known.set(key, factors);
      }
      result.set(index, factors);
    }
    return result;
  } finally {
    await engine.dispose();
  }
}
