import { costOfOutputs, factoredCost, narrowsInput, shareOf, type LayerCost } from '../../models/cost.js';
import { DENSE, type Layer, type LayerSize } from '../../models/layer.js';
import { storesZeros } from '../../models/sparse/index.js';
import type { Component, LayerStatistics } from './statistics.js';

/** One way to store a layer: `rank` 0 and `groups` 0 is the dense layer itself. */
export interface Candidate extends LayerSize, Omit<LayerCost, 'once'> {
  /** As of a layer's cost; absent: nothing. */
  once?: number;
  /** Milliseconds on some runtime, where it was measured. */
  latency?: number;
  /** In the file, where it is known how weights are kept. */
  bytes?: number;
  /** || Y - r(fit) ||² / || Y ||², estimated by the linear fit. */
  error: number;
  /** Of the costs, what goes with the layer's outputs. Absent: they are all made in any case. */
  outputs?: Costs;
  /** Of a layer that alone reads another one's outputs, and keeps some: the share of them that has to be made. */
  keeps?: { counted: number; computed: number };
}

/** What is summed up over the layers; `once`, `latency` and `bytes` where they are known. */
export type Costs = Pick<Candidate, 'parameters' | 'nonzeros' | 'macs' | 'work' | 'once' | 'latency' | 'bytes'>;

/**
 * The dense layer and every candidate with fewer parameters and fewer MACs, by the components that may be used. Where a
 * pattern stores its zeros: with fewer other numbers.
 */
export function costCurve(layer: Layer, statistics: LayerStatistics, components: readonly Component[]): Candidate[] {
  const dense = { ...DENSE, ...factoredCost(layer, DENSE), error: 0, outputs: costOfOutputs(layer, DENSE) };
  if (layer.blocked !== null) return [dense];
  const candidates: Candidate[] = [];
  for (const { shape, inner, groups, pattern, ranks, errors } of statistics.curves) {
    if (groups > 0 && !components.includes('sparse')) continue;
    ranks.forEach((rank, i) => {
      if (rank > 0 && !components.includes('low_rank')) return;
      const size = { shape, rank, inner, groups, ...(pattern === undefined ? {} : { pattern }) };
      const keeps = narrowsInput(layer, size) ? shareOf(groups, layer.channels) : undefined;
      if (components.includes('low_rank') && keeps !== undefined && keeps.counted < FEWEST_KEPT) return;
      const own = factoredCost(layer, size);
      const smaller =
        groups > 0 && pattern !== undefined && storesZeros(layer, pattern)
          ? own.nonzeros < dense.nonzeros
          : own.parameters < dense.parameters && own.macs < dense.macs;
      if (!smaller) return;
      candidates.push({
        ...size,
        ...(keeps === undefined ? own : withoutUnread(own, layer, keeps)),
        error: errors[i],
        outputs: costOfOutputs(layer, size),
        ...(keeps === undefined ? {} : { keeps }),
      });
    });
  }
  return [dense, ...candidates];
}

/**
 * A layer that reads less than this share of its channels is hardly one any more. What it loses is foreseen badly: later
 * layers make up for much that a limited rank loses, and for little of this.
 */
const FEWEST_KEPT = 1 / 4;

/** The depthwise convolutions before a layer that keeps some channels alone have fewer channels, too. */
function withoutUnread(cost: LayerCost, layer: Layer, keeps: ReturnType<typeof shareOf>): LayerCost {
  return (layer.narrows?.depthwise ?? []).reduce((rest, between) => {
    const whole = costOfOutputs(between, DENSE);
    return {
      parameters: rest.parameters - (1 - keeps.counted) * whole.parameters,
      nonzeros: rest.nonzeros - (1 - keeps.counted) * whole.nonzeros,
      macs: rest.macs - (1 - keeps.counted) * whole.macs,
      work: rest.work - (1 - keeps.computed) * whole.work,
      once: rest.once - (1 - keeps.computed) * whole.once,
    };
  }, cost);
}
