export interface DatasetLimits {
  maxArchiveEntries: number;
  maxArchiveRatio: number;
  maxSamples: number;
  /** Bytes that the arrays may take unpacked. */
  maxModelBytes: number;
}

export interface DatasetOptions {
  /** An existing directory for arrays that have to be unpacked; what is put there goes away with `close`. */
  directory: string;
  limits: DatasetLimits;
  /** Names of the inputs that the samples are for. Default: one, `x`. */
  inputs?: readonly string[];
  /** What the client calls the file: the root of the pointers in errors. */
  what?: string;
  signal?: AbortSignal;
}
