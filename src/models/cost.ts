import { isDense, type Layer, type LayerSize } from './layer.js';
import { LOW_RANK_SHAPES } from './low-rank/index.js';
import { layerPlaces } from './low-rank/shape.js';
import { PATTERN, PLAIN_PATTERN, sparseNonzeros, sparseParts, type SparseSize } from './sparse/index.js';

export interface LayerCost {
  /** Weights and biases as the file holds them. */
  parameters: number;
  /** Of these, all but the zeros that a sparse pattern makes. */
  nonzeros: number;
  macs: number;
  /**
   * What one sample costs a runtime that computes channels in blocks, has to write every feature map, to read every
   * weight and to begin every convolution, in multiply-accumulates. An estimate that is the same on every machine.
   */
  work: number;
  /** Of `work`, what a run of many samples costs once: weights and the begin of convolutions. */
  once: number;
}

/** Channels that a vectorised runtime computes together (16 floats of AVX-512). */
const BLOCK = 16;
/** Multiply-accumulates in the time that one value of a feature map takes: 20 to 50, measured on two threads. */
const VALUE_WORK = 32;
/**
 * The same for reading a weight: VGG-16 takes 1.2 ms longer for a sample by itself than for one of 32, for 15 million
 * weights, where a multiply-accumulate takes 4.3 ps.
 */
const WEIGHT_WORK = 16;
/**
 * The same for beginning a convolution, some microseconds. Measured on layers of 16 to 64 channels of ResNet-20, one
 * sample, two threads: with this a form of 16 channels is slower than the layer itself, as it is when it runs. Measured
 * on one busy machine: to be measured again.
 */
const START_WORK = 3e5;

/**
 * The same for a value of a map between convolutions that the runtime cannot keep in blocks and turns into rows of
 * channels and back: of fewer channels than a block, or no multiple of four. Measured at 1.4 to 2.6 ns, where a
 * multiply-accumulate takes 10 ps: 14 channels of 32 x 32 take 53 us, 16 channels 27 us.
 */
const TURNED_WORK = 160;

/**
 * The same for every product of a transposed convolution that is added to what overlaps it. With it the time of an
 * amount of work is the same within 15 % for all shapes of three layers (256 to 128 channels at 16 x 16, 64 to 32 at 64
 * x 64, both 4 x 4 by 2, and 128 to 64 at 32 x 32, 2 x 2 by 2; one thread); without, `pointwise` took twice as long.
 */
const OVERLAP_WORK = 40;
const ALIGNED = 4;

/** One convolution of a layer, at `places` places. */
export interface Part {
  outputs: number;
  /** Inputs of one output. */
  channels: number;
  taps: number;
  /** Of a transposed convolution those of its input: every tap is multiplied once there. */
  places: number;
  /** Places of its output, where they are others. */
  written?: number;
}

const NO_COST: LayerCost = { parameters: 0, nonzeros: 0, macs: 0, work: 0, once: 0 };

/** What a layer costs at given sizes. */
export function factoredCost(layer: Layer, size: LayerSize): LayerCost {
  const { m, d, channels } = layer;
  if (size.dropped === true) return { ...NO_COST };
  if (isDense(size)) {
    const whole = chainCost([{ outputs: m, channels, taps: d / channels, ...layerPlaces(layer) }]);
    const { work, once } = sum([whole, begun(layer, 1)]);
    return { parameters: layer.parameters, nonzeros: layer.parameters, macs: layer.macs, work, once };
  }
  const { rank, groups, pattern = PLAIN_PATTERN } = size;
  const sparseSize: SparseSize = { pattern, groups, alone: rank === 0 };
  const sparse = sparseParts(layer, sparseSize);
  // Where the layer before makes only what is kept, nothing is picked.
  const isPicked = layer.picksByConvolution === true && groups > 0 && !narrowsInput(layer, size);
  const picks = isPicked ? (PATTERN[pattern].picks?.(layer, groups) ?? []) : [];
  const beside = sum(sparse.map((part) => costOf(part, part.channels)));
  const picking = sum(picks.map((part) => costOf(part, part.channels)));
  const low = lowRankParts(layer, size);
  const turned = layer.op === 'Conv' ? turns(low) : NOTHING;
  const again = begun(layer, sparse.length + picks.length + low.length);
  const { parameters: weights, macs, work, once } = sum([beside, picking, chainCost(low), turned, again]);
  const zeros = beside.parameters - sparseNonzeros(layer, sparseSize);
  const parameters = weights + m * (layer.biases ?? 1);
  return { parameters, nonzeros: parameters - zeros, macs, work, once };
}

/** The tensors of weights that a layer of a size has: numbers of outputs, and of weights. */
export function weightTensors(layer: Layer, size: LayerSize): { rows: number; count: number }[] {
  if (size.dropped === true) return [];
  if (isDense(size)) return [{ rows: layer.m, count: layer.m * layer.d }];
  const { rank, groups, pattern = PLAIN_PATTERN } = size;
  const sparse = groups === 0 ? [] : sparseParts(layer, { pattern, groups, alone: rank === 0 });
  return [...sparse, ...lowRankParts(layer, size)].map(({ outputs, channels, taps }) => ({
    ...{ rows: outputs, count: outputs * channels * taps },
  }));
}

/** What of a layer's cost goes with its outputs: where a reader does without a share of them, it is less by that share of this. */
export function costOfOutputs(layer: Layer, size: LayerSize): LayerCost {
  const whole = factoredCost(layer, size);
  const none = factoredCost({ ...layer, m: 0, parameters: 0, macs: 0 }, size);
  return {
    parameters: whole.parameters - none.parameters,
    nonzeros: whole.nonzeros - none.nonzeros,
    macs: whole.macs - none.macs,
    work: whole.work - none.work,
    once: whole.once - none.once,
  };
}

/** Whether a layer of this size is some of its input channels and nothing else, so that the others need not be made. */
export const narrowsInput = (
  { narrows }: Pick<Layer, 'narrows'>,
  { rank, groups, pattern = PLAIN_PATTERN }: LayerSize,
): boolean => narrows !== undefined && rank === 0 && groups > 0 && pattern === PLAIN_PATTERN;

/** Of channels, the share that is left when so many are kept: as it is counted, and as a runtime computes it, in blocks. */
export const shareOf = (kept: number, channels: number): { counted: number; computed: number } => ({
  counted: kept / channels,
  computed: blocked(kept) / blocked(channels),
});

/** Every further use of a layer begins its convolutions once more. */
function begun({ uses = [] }: Layer, convolutions: number): Cost {
  const once = Math.max(0, uses.length - 1) * convolutions * START_WORK;
  return { ...NOTHING, work: once, once };
}

function lowRankParts(layer: Layer, size: LayerSize): Part[] {
  // Whole rows of the sparse part need nothing beside them.
  const rows = PATTERN[size.pattern ?? PLAIN_PATTERN].stores === 'rows' ? size.groups : 0;
  return size.rank === 0 ? [] : LOW_RANK_SHAPES[size.shape].parts(layer, size, layer.m - rows);
}

type Cost = Omit<LayerCost, 'nonzeros'>;

const NOTHING: Cost = { parameters: 0, macs: 0, work: 0, once: 0 };

/** Of the maps between the convolutions of a chain. */
const turns = (chain: readonly Part[]): Cost => {
  const between = chain.slice(0, -1).filter(({ outputs }) => outputs < BLOCK || outputs % ALIGNED !== 0);
  return {
    ...NOTHING,
    work: between.reduce((all, { outputs, places, written }) => all + TURNED_WORK * outputs * (written ?? places), 0),
  };
};

const sum = (costs: readonly Cost[]): Cost =>
  costs.reduce(
    (all, { parameters, macs, work, once }) => ({
      parameters: all.parameters + parameters,
      macs: all.macs + macs,
      work: all.work + work,
      once: all.once + once,
    }),
    NOTHING,
  );

/** Of convolutions one after the other: what lies between them is in whole blocks. */
const chainCost = (parts: readonly Part[]): Cost =>
  sum(parts.map((part, i) => costOf(part, i === 0 ? part.channels : blocked(part.channels))));

/** @param read channels that are read for one output, with those that fill a block up */
function costOf({ outputs, channels, taps, places, written = places }: Part, read: number): Cost {
  const weights = outputs * channels * taps;
  // Few channels, as those of an image, have a way of their own in the runtime.
  const width = read <= BLOCK / 2 ? read : blocked(read);
  const overlap = written === places ? 0 : Math.max(0, taps * places - written) * outputs;
  const values = blocked(outputs) * width * taps * places + VALUE_WORK * outputs * written + OVERLAP_WORK * overlap;
  const once = WEIGHT_WORK * weights + START_WORK;
  return { parameters: weights, macs: weights * places, work: values + once, once };
}

const blocked = (channels: number): number => Math.ceil(channels / BLOCK) * BLOCK;
