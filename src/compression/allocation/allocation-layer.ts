import type { Candidate } from '../curves/cost-curve.js';

export interface AllocationLayer {
  candidates: readonly Candidate[];
  /** Effect of the layer's error on the network. */
  weight: number;
  /** The layer, by its place, that alone reads what this one makes. */
  reader?: number;
}

export interface AllocationTarget {
  cost: 'parameters' | 'nonzeros' | 'macs' | 'work' | 'latency' | 'bytes';
  /** Sum over the given layers. */
  budget: number;
}
