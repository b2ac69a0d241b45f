import { factoredCost, type Layer } from '../models/layer.js';
import type { Component, LayerStatistics } from './statistics.js';

/** One way to store a layer: `rank` 0 and `groups` 0 is the dense layer itself. */
export interface Candidate {
  rank: number;
  groups: number;
  parameters: number;
  macs: number;
  /** Milliseconds on some runtime, where it was measured. */
  latency?: number;
  /** || Y - r(fit) ||² / || Y ||², estimated by the linear fit. */
  error: number;
}

/** The dense layer and every candidate with fewer parameters and fewer MACs, by the components that may be used. */
export function costCurve(layer: Layer, statistics: LayerStatistics, components: readonly Component[]): Candidate[] {
  const dense = { rank: 0, groups: 0, ...factoredCost(layer, 0, 0), error: 0 };
  if (layer.blocked !== null) return [dense];
  const candidates: Candidate[] = [];
  for (const { groups, ranks, errors } of statistics.curves) {
    if (groups > 0 && !components.includes('sparse')) continue;
    ranks.forEach((rank, i) => {
      if (rank > 0 && !components.includes('low_rank')) return;
      const cost = factoredCost(layer, rank, groups);
      if (cost.parameters >= dense.parameters || cost.macs >= dense.macs) return;
      candidates.push({ rank, groups, ...cost, error: errors[i] as number });
    });
  }
  return [dense, ...candidates];
}
