import type { Archive } from '../datasets/archive.js';
import type { Model } from './ir/model.js';

export interface ModelLimits {
  maxArchiveEntries: number;
  maxArchiveRatio: number;
  maxModelBytes: number;
  maxGraphNodes: number;
  maxTensorElements: number;
}

export interface LoadOptions {
  /** An existing directory that the model may unpack weights into; it must live as long as the model. */
  directory: string;
  limits: ModelLimits;
  signal?: AbortSignal;
}

export interface ModelFile {
  path: string;
  /** Opened, when it is a zip; whoever opened it closes it. */
  archive: Archive | null;
}

/** Reads and writes the files of one format. */
export interface FormatFiles {
  recognizes(file: ModelFile): boolean;
  /** @throws {InputError} for everything that is wrong with the file */
  load(file: ModelFile, options: LoadOptions): Promise<Model>;
  save(model: Model, path: string): Promise<void>;
}
