import type { WeighedCandidate } from './effects.js';
import type { Layer, LayerCost } from '../../models/index.js';
import type { SensitivityPoint } from './sensitivity.js';

/** What `inspect` tells `plan` about every layer that can be compressed. */
export interface Curves {
  layers: { index: number; layer: Layer; candidates: WeighedCandidate[]; sensitivity: readonly SensitivityPoint[] }[];
  /** Weights and biases of the whole network, and its multiply-accumulates per sample. */
  parameters: number;
  macs: number;
  /** Branches of sums that may be left out; absent: none. */
  branches?: BranchCurve[];
  /** Calibration samples that are used. */
  images?: number;
}

export interface BranchCurve {
  sum: string;
  /** Of all layers with weights in it, by their places in the network. */
  layers: number[];
  /** Cost of those among them that have no candidates. */
  fixed: LayerCost;
  /** Without it, with all other layers as they were: relative squared errors of the sum, behind its activation, and of the outputs. */
  sumError: number;
  outputError: number;
}
