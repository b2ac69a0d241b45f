import type { Candidate } from '../compression/index.js';
import type { Layer } from '../models/index.js';
import type { SensitivityPoint } from './sensitivity.js';

/** What `inspect` tells `plan` about every layer that can be compressed. */
export interface Curves {
  layers: { index: number; layer: Layer; candidates: Candidate[]; sensitivity: SensitivityPoint[] }[];
  /** Weights and biases of the whole network, and its multiply-accumulates per sample. */
  parameters: number;
  macs: number;
}
