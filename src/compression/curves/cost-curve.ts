import { factoredCost, type LayerCost } from '../../models/cost.js';
import { DENSE, type Layer, type LayerSize } from '../../models/layer.js';
import { storesZeros } from '../../models/sparse/index.js';
import type { Component, LayerStatistics } from './statistics.js';

/** One way to store a layer: `rank` 0 and `groups` 0 is the dense layer itself. */
export interface Candidate extends LayerSize, Omit<LayerCost, 'once'> {
  /** As of a layer's cost; absent: nothing. */
  once?: number;
  /** Milliseconds on some runtime, where it was measured. */
  latency?: number;
  /** || Y - r(fit) ||² / || Y ||², estimated by the linear fit. */
  error: number;
}

/**
 * The dense layer and every candidate with fewer parameters and fewer MACs, by the components that may be used. Where a
 * pattern stores its zeros: with fewer other numbers.
 */
export function costCurve(layer: Layer, statistics: LayerStatistics, components: readonly Component[]): Candidate[] {
  const dense = { ...DENSE, ...factoredCost(layer, DENSE), error: 0 };
  if (layer.blocked !== null) return [dense];
  const candidates: Candidate[] = [];
  for (const { shape, inner, groups, pattern, ranks, errors } of statistics.curves) {
    if (groups > 0 && !components.includes('sparse')) continue;
    ranks.forEach((rank, i) => {
      if (rank > 0 && !components.includes('low_rank')) return;
      const size = { shape, rank, inner, groups, ...(pattern === undefined ? {} : { pattern }) };
      const cost = factoredCost(layer, size);
      const smaller =
        groups > 0 && pattern !== undefined && storesZeros(layer, pattern)
          ? cost.nonzeros < dense.nonzeros
          : cost.parameters < dense.parameters && cost.macs < dense.macs;
      if (!smaller) return;
      candidates.push({ ...size, ...cost, error: errors[i] });
    });
  }
  return [dense, ...candidates];
}
