import type { Candidate } from '../curves/cost-curve.js';

export interface AllocationLayer {
  candidates: readonly Candidate[];
  /** Effect of the layer's error on the network. */
  weight: number;
  /** The layer, by its place, that alone reads what this one makes. */
  reader?: number;
  /** The branch that it may be left out with, as all layers of the same number: each has a candidate that is `dropped`. */
  branch?: number;
}

export interface AllocationTarget {
  cost: 'parameters' | 'nonzeros' | 'macs' | 'work' | 'latency' | 'bytes';
  /** Sum over the given layers. */
  budget: number;
}
