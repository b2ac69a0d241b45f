import { isDense, type Layer, type LayerSize } from './layer.js';
import { LOW_RANK_SHAPES } from './low-rank/index.js';
import { PATTERN, PLAIN_PATTERN, sparseNonzeros, sparseParts, type SparseSize } from './sparse/index.js';

export interface LayerCost {
  /** Weights and biases as the file holds them. */
  parameters: number;
  /** Of these, all but the zeros that a sparse pattern makes. */
  nonzeros: number;
  macs: number;
  /**
   * What the layer costs a runtime that computes channels in blocks and has to write every feature map, in multiply-accumulates.
   * An estimate that is the same on every machine.
   */
  work: number;
}

/** Channels that a vectorised runtime computes together (16 floats of AVX-512). */
const BLOCK = 16;
/** Multiply-accumulates in the time that one value of a feature map takes: 20 to 50, measured on two threads. */
const VALUE_WORK = 32;

/** One convolution of a layer, at `places` places. */
export interface Part {
  outputs: number;
  /** Inputs of one output. */
  channels: number;
  taps: number;
  places: number;
}

/** What a layer costs at given sizes. */
export function factoredCost(layer: Layer, size: LayerSize): LayerCost {
  const { m, d, channels, positions } = layer;
  if (isDense(size)) {
    const { work } = costOf([{ outputs: m, channels, taps: d / channels, places: positions }]);
    return { parameters: layer.parameters, nonzeros: layer.parameters, macs: layer.macs, work };
  }
  const { rank, groups, pattern = PLAIN_PATTERN } = size;
  const sparseSize: SparseSize = { pattern, groups, alone: rank === 0 };
  const sparse = sparseParts(layer, sparseSize);
  const sum = costOf([...sparse, ...lowRankParts(layer, size)]);
  const zeros = costOf(sparse).parameters - sparseNonzeros(layer, sparseSize);
  const parameters = sum.parameters + m;
  return { ...sum, parameters, nonzeros: parameters - zeros };
}

function lowRankParts(layer: Layer, size: LayerSize): Part[] {
  // Whole rows of the sparse part need nothing beside them.
  const rows = PATTERN[size.pattern ?? PLAIN_PATTERN].stores === 'rows' ? size.groups : 0;
  return size.rank === 0 ? [] : LOW_RANK_SHAPES[size.shape].parts(layer, size, layer.m - rows);
}

function costOf(parts: readonly Part[]): Omit<LayerCost, 'nonzeros'> {
  const cost = { parameters: 0, macs: 0, work: 0 };
  for (const { outputs, channels, taps, places } of parts) {
    const weights = outputs * channels * taps;
    cost.parameters += weights;
    cost.macs += weights * places;
    cost.work += (blocked(outputs) * blocked(channels) * taps + VALUE_WORK * outputs) * places;
  }
  return cost;
}

/** Few channels, as those of an image, have a way of their own in the runtime. */
const blocked = (channels: number): number => (channels <= BLOCK / 2 ? channels : Math.ceil(channels / BLOCK) * BLOCK);
