import type { WeighedCandidate } from './effects.js';
import type { Layer } from '../../models/index.js';
import type { SensitivityPoint } from './sensitivity.js';

/** What `inspect` tells `plan` about every layer that can be compressed. */
export interface Curves {
  layers: { index: number; layer: Layer; candidates: WeighedCandidate[]; sensitivity: readonly SensitivityPoint[] }[];
  /** Weights and biases of the whole network, and its multiply-accumulates per sample. */
  parameters: number;
  macs: number;
}
