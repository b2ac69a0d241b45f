import type { Candidate } from '../curves/cost-curve.js';
import type { AllocationLayer, AllocationTarget } from './allocation-layer.js';

/**
 * Layers that read each other's outputs are not independent: a reader that keeps some channels alone makes its producer
 * cheaper, by an amount that depends on what the producer is. Nor are the layers of a branch, which are left out together.
 * Once it is settled which readers do that, with how many channels, and which branches go, layers are independent again. What is
 * worth looking at is found for a price of every cost: readers follow producers in chains, along which the best choice at that
 * price is found exactly (dynamic programming), and a branch goes where that is cheaper than the best for its chains.
 */

/** What is settled before layers are chosen for one by one. */
export interface Structure {
  /** Of every reader of another layer's outputs that keeps some of them alone, the candidate. */
  widths: ReadonlyMap<number, number>;
  /** Branches that are left out, by their numbers. */
  dropped: ReadonlySet<number>;
}

/** All maps as wide as they are, and all branches. */
const WHOLE: Structure = { widths: new Map(), dropped: new Set() };

/** Prices per unit of the second cost, relative to the first. */
const RATIOS = [0, 0.5, 2];
/** Halvings of the range of the price. */
const ROUNDS = 20;

type CostName = AllocationTarget['cost'];

/** A layer with candidates of fixed costs, and where they stand among all of the layer's. */
export interface SettledLayer extends AllocationLayer {
  places: readonly number[];
  /** Of them the one that it is settled for as a reader that keeps some channels alone. */
  width: number | null;
  /** The branch that it is left out with. */
  dropped: number | null;
}

/** The layers as independent ones, in such a structure. */
export function settled(layers: readonly AllocationLayer[], { widths, dropped }: Structure): SettledLayer[] {
  return layers.map((layer, i) => {
    const own = widths.get(i);
    const share = shareRead(layers, layer, widths);
    const isDropped = layer.branch !== undefined && dropped.has(layer.branch);
    const places = [...layer.candidates.keys()].filter((k) => {
      const candidate = layer.candidates[k];
      if ((candidate.dropped === true) !== isDropped) return false;
      return own === undefined ? !isWidth(layers, i, candidate) : k === own;
    });
    const candidates = places.map((k) => narrowed(layer.candidates[k], share));
    return {
      ...{ weight: layer.weight, candidates, places, width: own ?? null },
      dropped: isDropped ? (layer.branch ?? null) : null,
    };
  });
}

/** What the layers were settled for. */
export const structureOf = (layers: readonly SettledLayer[]): Structure => ({
  widths: new Map(layers.flatMap(({ width }, i) => (width === null ? [] : [[i, width]]))),
  dropped: new Set(layers.flatMap(({ dropped }) => (dropped === null ? [] : [dropped]))),
});

/** Structures in which one reader keeps a step more or less, or one branch is there or not. */
export function* neighbours(layers: readonly AllocationLayer[], { widths, dropped }: Structure): Generator<Structure> {
  const readers = new Set(layers.flatMap(({ reader }) => (reader === undefined ? [] : [reader])));
  for (const i of readers) {
    const { candidates, branch } = layers[i];
    if (branch !== undefined && dropped.has(branch)) continue;
    const steps = widthCandidates(layers[i]).sort(
      (a, b) => (candidates[a].keeps?.counted ?? 1) - (candidates[b].keeps?.counted ?? 1),
    );
    const own = widths.get(i);
    // Behind the widest come all channels.
    const at = own === undefined ? steps.length : steps.indexOf(own);
    for (const next of [at - 1, at + 1]) {
      if (next < 0 || next > steps.length) continue;
      const other = new Map(widths);
      if (next === steps.length) other.delete(i);
      else other.set(i, steps[next]);
      yield { widths: other, dropped };
    }
  }
  for (const branch of branchesOf(layers)) {
    const others = new Set(dropped);
    if (!others.delete(branch)) others.add(branch);
    yield { widths: new Map([...widths].filter(([i]) => layers[i].branch !== branch)), dropped: others };
  }
}

const branchesOf = (layers: readonly AllocationLayer[]): Set<number> =>
  new Set(layers.flatMap(({ branch }) => (branch === undefined ? [] : [branch])));

/** Whether a candidate makes the layer before its layer cheaper. */
const isWidth = (layers: readonly AllocationLayer[], i: number, { keeps }: Candidate): boolean =>
  keeps !== undefined && layers.some(({ reader }) => reader === i);

function shareRead(
  layers: readonly AllocationLayer[],
  { reader }: AllocationLayer,
  widths: Structure['widths'],
): Candidate['keeps'] {
  const chosen = reader === undefined ? undefined : widths.get(reader);
  return reader === undefined || chosen === undefined ? undefined : layers[reader]?.candidates[chosen]?.keeps;
}

function narrowed(candidate: Candidate, share: Candidate['keeps']): Candidate {
  const of = (cost: CostName): number => costWith(candidate, cost, share);
  return {
    ...candidate,
    ...{ parameters: of('parameters'), nonzeros: of('nonzeros'), macs: of('macs'), work: of('work') },
    ...(candidate.latency === undefined ? {} : { latency: of('latency') }),
    ...(candidate.bytes === undefined ? {} : { bytes: of('bytes') }),
  };
}

/** Cost of a candidate of which the reader keeps a share. */
const costWith = (candidate: Candidate, cost: CostName, share: Candidate['keeps']): number => {
  const whole = candidate[cost] ?? Infinity;
  if (share === undefined) return whole;
  const less = cost === 'work' || cost === 'latency' ? 1 - share.computed : 1 - share.counted;
  return whole - less * (candidate.outputs?.[cost] ?? 0);
};

/** What a choice of candidates costs, with what the widths of readers save. */
export const costOfChoice = (layers: readonly AllocationLayer[], choice: readonly number[], cost: CostName): number =>
  layers.reduce((sum, { candidates, reader }, i) => {
    const read = reader === undefined ? undefined : layers[reader]?.candidates[choice[reader] ?? -1];
    const own = candidates[choice[i] ?? -1];
    return own === undefined ? Infinity : sum + costWith(own, cost, read?.keeps);
  }, 0);

/** The structures that are best at some price at which the budget is kept; that with all channels and branches is the first. */
export function structures(
  layers: readonly AllocationLayer[],
  { cost, budget }: AllocationTarget,
  other: CostName | null,
): Structure[] {
  const found = new Map<string, Structure>();
  const add = (structure: Structure) => found.set(keyOf(structure), structure);
  add(WHOLE);
  if (!layers.some(({ reader, branch }) => reader !== undefined || branch !== undefined)) return [...found.values()];
  const whole = (name: CostName): number =>
    layers.reduce((sum, { candidates }) => sum + Math.max(...candidates.map((c) => c[name] ?? 0)), 0);
  const scales = { first: 1 / Math.max(whole(cost), Number.MIN_VALUE), second: 0 };
  if (other !== null) scales.second = 1 / Math.max(whole(other), Number.MIN_VALUE);
  for (const ratio of other === null ? [0] : RATIOS) {
    // From a price at which nothing is given up to one at which everything is.
    let [low, high] = [Math.log(1e-9), Math.log(1e6)];
    for (let round = 0; round < ROUNDS; round++) {
      const middle = (low + high) / 2;
      const price = Math.exp(middle);
      const prices = [{ cost, price: price * scales.first }];
      if (other !== null && ratio > 0) prices.push({ cost: other, price: price * ratio * scales.second });
      const { structure, spent } = cheapest(layers, prices);
      if (spent <= budget) high = middle;
      else low = middle;
      // Dearer and cheaper than the budget alike: what is left or missing is made up for by the other layers.
      if (round >= ROUNDS / 2) add(structure);
    }
  }
  add(cheapest(layers, [{ cost, price: 1e9 * scales.first }]).structure);
  return [...found.values()];
}

const keyOf = ({ widths, dropped }: Structure): string =>
  [[...widths].sort(([a], [b]) => a - b).join(' '), [...dropped].sort((a, b) => a - b).join(' ')].join('; ');

/** The least that all layers can cost together. */
export function leastCost(layers: readonly AllocationLayer[], cost: CostName): number {
  const { structure } = cheapest(layers, [{ cost, price: 1e12 }]);
  return leastOf(settled(layers, structure), cost);
}

/** The same of layers that are settled. */
export const leastOf = (layers: readonly SettledLayer[], cost: CostName): number =>
  layers.reduce((sum, { candidates }) => sum + Math.min(...candidates.map((c) => c[cost] ?? Infinity)), 0);

interface Price {
  cost: CostName;
  price: number;
}

/** What a layer and all that read it, one after the other, come to. */
interface Chain {
  value: number;
  spent: number;
  /** Of the reader: its candidate, if it keeps some channels alone. */
  next: number | null;
}

/** The structure with the least sum of errors and priced costs. */
function cheapest(
  layers: readonly AllocationLayer[],
  prices: readonly Price[],
): { structure: Structure; spent: number } {
  const priced = (costs: (cost: CostName) => number): number =>
    prices.reduce((sum, { cost, price }) => sum + price * costs(cost), 0);
  const producers = new Map(layers.flatMap(({ reader }, i) => (reader === undefined ? [] : [[reader, i]])));
  /** Of every layer: without a width of its own, and with each. */
  const solved = new Map<string, Chain>();
  const solve = (i: number, own: number | null): Chain => {
    const key = `${String(i)} ${String(own)}`;
    const known = solved.get(key);
    if (known !== undefined) return known;
    const layer = layers[i];
    const chosen =
      own === null
        ? layer.candidates.filter((c) => c.dropped !== true && (!producers.has(i) || c.keeps === undefined))
        : [layer.candidates[own]];
    const after = layer.reader === undefined ? [null] : [null, ...widthCandidates(layers[layer.reader])];
    let best: Chain = { value: Infinity, spent: Infinity, next: null };
    for (const next of after) {
      const rest = layer.reader === undefined ? { value: 0, spent: 0 } : solve(layer.reader, next);
      const share =
        next === null || layer.reader === undefined ? undefined : layers[layer.reader].candidates[next].keeps;
      for (const candidate of chosen) {
        const cost = priced((name) => costWith(candidate, name, share));
        const value = layer.weight * candidate.error + cost + rest.value;
        if (value < best.value) best = { value, spent: costWith(candidate, prices[0].cost, share) + rest.spent, next };
      }
    }
    solved.set(key, best);
    return best;
  };
  const widths = new Map<number, number>();
  let spent = 0;
  const heads = [...layers.keys()].filter((i) => !producers.has(i));
  const dropped = new Set<number>();
  for (const branch of branchesOf(layers)) {
    const kept = heads.filter((i) => layers[i].branch === branch).map((i) => solve(i, null).value);
    const gone = layers.filter((layer) => layer.branch === branch).flatMap(droppedOf);
    const value = gone.reduce((sum, { weight, candidate }) => {
      return sum + weight * candidate.error + priced((name) => candidate[name] ?? Infinity);
    }, 0);
    if (value >= kept.reduce((sum, one) => sum + one, 0)) continue;
    dropped.add(branch);
    spent += gone.reduce((sum, { candidate }) => sum + (candidate[prices[0].cost] ?? Infinity), 0);
  }
  for (const first of heads) {
    const { branch } = layers[first];
    if (branch !== undefined && dropped.has(branch)) continue;
    spent += solve(first, null).spent;
    for (let at: number | undefined = first, own: number | null = null; at !== undefined; at = layers[at].reader) {
      const { next }: Chain = solve(at, own);
      const { reader } = layers[at];
      if (next !== null && reader !== undefined) widths.set(reader, next);
      own = next;
    }
  }
  return { structure: { widths, dropped }, spent };
}

const droppedOf = ({ candidates, weight }: AllocationLayer): { weight: number; candidate: Candidate }[] =>
  candidates.flatMap((candidate) => (candidate.dropped === true ? [{ weight, candidate }] : []));

const widthCandidates = ({ candidates }: AllocationLayer): number[] =>
  [...candidates.keys()].filter((k) => candidates[k]?.keeps !== undefined);
