import type { Candidate } from '../curves/cost-curve.js';
import type { AllocationLayer, AllocationTarget } from './allocation-layer.js';

/**
 * Layers that read each other's outputs are not independent: a reader that keeps some channels alone makes its producer
 * cheaper, by an amount that depends on what the producer is. Once it is settled which readers do that, and with how many
 * channels, they are independent again. Which are worth looking at is found for a price of every cost: readers follow
 * producers in chains, along which the best choice at that price is found exactly (dynamic programming).
 */

/** Of every reader of another layer's outputs that keeps some of them alone, the candidate. */
export type Widths = ReadonlyMap<number, number>;

/** All maps as wide as they are. */
const ALL_CHANNELS: Widths = new Map();

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
}

/** The layers as independent ones, when the readers keep so many channels. */
export function settled(layers: readonly AllocationLayer[], widths: Widths): SettledLayer[] {
  return layers.map((layer, i) => {
    const own = widths.get(i);
    const share = shareRead(layers, layer, widths);
    const places = [...layer.candidates.keys()].filter((k) =>
      own === undefined ? !isWidth(layers, i, layer.candidates[k]) : k === own,
    );
    const candidates = places.map((k) => narrowed(layer.candidates[k], share));
    return { weight: layer.weight, candidates, places, width: own ?? null };
  });
}

/** What the layers were settled for. */
export const widthsOf = (layers: readonly SettledLayer[]): Widths =>
  new Map(layers.flatMap(({ width }, i) => (width === null ? [] : [[i, width]])));

/** Choices in which one reader keeps a step more or less. */
export function* neighbours(layers: readonly AllocationLayer[], widths: Widths): Generator<Widths> {
  const readers = new Set(layers.flatMap(({ reader }) => (reader === undefined ? [] : [reader])));
  for (const i of readers) {
    const { candidates } = layers[i];
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
      yield other;
    }
  }
}

/** Whether a candidate makes the layer before its layer cheaper. */
const isWidth = (layers: readonly AllocationLayer[], i: number, { keeps }: Candidate): boolean =>
  keeps !== undefined && layers.some(({ reader }) => reader === i);

function shareRead(
  layers: readonly AllocationLayer[],
  { reader }: AllocationLayer,
  widths: Widths,
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

/** The choices of widths that are best at some price at which the budget is kept; that with all channels is the first. */
export function widthChoices(
  layers: readonly AllocationLayer[],
  { cost, budget }: AllocationTarget,
  other: CostName | null,
): Widths[] {
  const found = new Map<string, Widths>();
  const add = (widths: Widths) => found.set([...widths].sort(([a], [b]) => a - b).join(' '), widths);
  add(ALL_CHANNELS);
  if (!layers.some(({ reader }) => reader !== undefined)) return [...found.values()];
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
      const { widths, spent } = cheapest(layers, prices);
      if (spent <= budget) high = middle;
      else low = middle;
      // Dearer and cheaper than the budget alike: what is left or missing is made up for by the other layers.
      if (round >= ROUNDS / 2) add(widths);
    }
  }
  add(cheapest(layers, [{ cost, price: 1e9 * scales.first }]).widths);
  return [...found.values()];
}

/** The least that all layers can cost together. */
export function leastCost(layers: readonly AllocationLayer[], cost: CostName): number {
  const { widths } = cheapest(layers, [{ cost, price: 1e12 }]);
  return leastOf(settled(layers, widths), cost);
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

/** The choice with the least sum of errors and priced costs. */
function cheapest(layers: readonly AllocationLayer[], prices: readonly Price[]): { widths: Widths; spent: number } {
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
        ? layer.candidates.filter((c) => !producers.has(i) || c.keeps === undefined)
        : [layer.candidates[own]];
    const after = layer.reader === undefined ? [null] : [null, ...widthCandidates(layers[layer.reader])];
    let best: Chain = { value: Infinity, spent: Infinity, next: null };
    for (const next of after) {
      const rest = layer.reader === undefined ? { value: 0, spent: 0 } : solve(layer.reader, next);
      const share =
        next === null || layer.reader === undefined ? undefined : layers[layer.reader].candidates[next].keeps;
      for (const candidate of chosen) {
        const priced = prices.reduce((sum, { cost, price }) => sum + price * costWith(candidate, cost, share), 0);
        const value = layer.weight * candidate.error + priced + rest.value;
        if (value < best.value) best = { value, spent: costWith(candidate, prices[0].cost, share) + rest.spent, next };
      }
    }
    solved.set(key, best);
    return best;
  };
  const widths = new Map<number, number>();
  let spent = 0;
  for (const [first] of layers.entries()) {
    if (producers.has(first)) continue;
    spent += solve(first, null).spent;
    for (let at: number | undefined = first, own: number | null = null; at !== undefined; at = layers[at].reader) {
      const { next }: Chain = solve(at, own);
      const { reader } = layers[at];
      if (next !== null && reader !== undefined) widths.set(reader, next);
      own = next;
    }
  }
  return { widths, spent };
}

const widthCandidates = ({ candidates }: AllocationLayer): number[] =>
  [...candidates.keys()].filter((k) => candidates[k]?.keeps !== undefined);
