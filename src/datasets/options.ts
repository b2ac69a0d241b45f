export interface DatasetLimits {
  maxArchiveEntries: number;
  maxArchiveRatio: number;
  maxSamples: number;
  /** Bytes that the arrays may take unpacked. */
  maxModelBytes: number;
}

/** Sizes of the axes of an input; names, or nothing, where any size goes. */
export type InputShape = readonly (number | string)[];

export interface DatasetOptions {
  /** An existing directory for arrays that have to be unpacked; what is put there goes away with `close`. */
  directory: string;
  limits: DatasetLimits;
  /** Names of the inputs that the samples are for. Default: one, `x`. */
  inputs?: readonly string[];
  /** Inputs without an axis for samples, with the sizes of their axes: a sample has the whole of such an input. */
  whole?: ReadonlyMap<string, InputShape>;
  /** What the client calls the file: the root of the pointers in errors. */
  what?: string;
  signal?: AbortSignal;
}
