/** How a file may keep the weights of its layers. */
export interface CodingDescription {
  /** For a reader. */
  meaning: string;
  /** Who codes the tensors, by its name in models/emit/coding; null: they stay as they are. */
  coder: TensorCoding | null;
  /** Whether an error in a weight counts by the energy of its input. */
  weighted: boolean;
  /** Whether layers also compute with integers, inputs included. */
  integers: boolean;
  /** What a job reports, where it is more than the name. */
  reported?: (bits: string) => string;
}

export type TensorCoding = 'float16' | 'int8' | 'uint8' | 'codebook';

/** The codings there are; what the API takes follows from here. */
export const WEIGHT_CODINGS = {
  float32: { meaning: 'as they are', coder: null, weighted: false, integers: false },
  float16: { meaning: 'half the bits', coder: 'float16', weighted: false, integers: false },
  int8: { meaning: 'a scale for every output channel', coder: 'int8', weighted: true, integers: false },
  uint8: {
    meaning:
      'a scale for the whole tensor, as TensorFlow.js keeps weights; float16 where its rows differ too much for one',
    ...{ coder: 'uint8', weighted: false, integers: false },
  },
  static_int8: {
    meaning:
      'as int8, and layers also compute with 8-bit integers, inputs included, with ranges from the calibration data (QuantizeLinear and DequantizeLinear); faster where the processor has integer kernels',
    ...{ coder: 'int8', weighted: true, integers: true },
  },
  codebook: {
    meaning: 'k-means',
    ...{ coder: 'codebook', weighted: true, integers: false },
    reported: (bits) => `codebook of ${bits} bits`,
  },
} as const satisfies Record<string, CodingDescription>;

export type WeightCodingName = keyof typeof WEIGHT_CODINGS;

export const weightCodings = Object.keys(WEIGHT_CODINGS) as WeightCodingName[];

export const codingOf = (name: WeightCodingName): CodingDescription => WEIGHT_CODINGS[name];

/** What a plan for a speedup may take instead of another one. */
export const FAST_CODING = 'static_int8' satisfies WeightCodingName;

/** What a plan for a size of the file may take instead of another one; in a format that has no such coding, the smallest of it. */
export const SMALL_CODING = 'codebook' satisfies WeightCodingName;
export const SMALL_CODING_ELSEWHERE = 'uint8' satisfies WeightCodingName;

/** What a network may take that has to keep its outputs, the fastest first; in a format that has none of these, the smallest of it. */
export const NEAR_CODINGS = [FAST_CODING, 'int8'] satisfies WeightCodingName[];

/** Nothing is coded where nothing is said. */
export const PLAIN_CODING = 'float32' satisfies WeightCodingName;
