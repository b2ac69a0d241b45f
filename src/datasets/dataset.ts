import { rm, stat } from 'node:fs/promises';
import { InputError, type Fault } from '../errors/index.js';
import { firstNotFinite } from '../errors/not-finite.js';
import { countLabels } from './labels.js';
import { badDataset, type Rows } from './npy.js';
import { openArrays, type Held } from './open-arrays.js';
import type { DatasetOptions } from './options.js';
import { concatenate, type Samples } from './samples.js';
import type { Tensor } from './tensor.js';

/** What the samples hold for one input. */
export interface Column {
  input: string;
  /** What the client calls the array. */
  array: string;
  /** The samples first. */
  shape: readonly number[];
  /** Element type of the data that is read, in ONNX Runtime's names. */
  type: string;
  /** Element type in the file, as NumPy calls it. */
  storedType: string;
}

/** Rows that one pass over the whole set reads at a time are chosen to take about this much. */
const PASS_BYTES = 16 * 2 ** 20;

/**
 * Samples for the inputs of a network: an array for each, as many rows in all. Stored arrays are read in place,
 * compressed ones from a scratch file: memory stays at what is asked for.
 */
export class Dataset {
  private constructor(
    /** By the name of the input. */
    private readonly arrays: ReadonlyMap<string, Rows>,
    /** Class indices, one per sample. */
    readonly labels: Int32Array | null,
    private readonly held: Held & { what: string },
    /** Numbers in the file of the samples that this is, ascending; null for all. */
    private readonly rows: Uint32Array | null = null,
  ) {}

  static async open(path: string, options: DatasetOptions): Promise<Dataset> {
    if ((await stat(path)).size === 0) throw badDataset('the dataset file is empty', '');
    const held: Held = { files: [], scratch: [] };
    try {
      const { arrays, labels } = await openArrays(path, options, held);
      return new Dataset(arrays, labels, { ...held, what: options.what ?? 'dataset' });
    } catch (error) {
      await discard(held);
      throw error;
    }
  }

  /** What the client calls the file. */
  get what(): string {
    return this.held.what;
  }

  /** Samples. */
  get count(): number {
    return this.rows?.length ?? this.all;
  }

  private get all(): number {
    return this.arrays.values().next().value?.shape[0] ?? 0;
  }

  /** One for every input. */
  get columns(): Column[] {
    return [...this.arrays].map(([input, { name, shape, type, storedType }]) => ({
      ...{ input, array: name, type, storedType },
      shape: [this.count, ...shape.slice(1)],
    }));
  }

  /** A fault of the arrays, or of one sample of this set, told at each of them. */
  faults(detail: string, sample?: number): Fault[] {
    const place = sample === undefined ? '' : `/${String(this.numberOf(sample))}`;
    return [...this.arrays.values()].map(({ name }) => ({ pointer: `#${this.what}/${name}${place}`, detail }));
  }

  /**
   * The samples with these numbers as a dataset of its own, on the same file: closing either closes both.
   * @param rows ascending
   */
  subset(rows: Uint32Array): Dataset {
    const labels = this.labels === null ? null : Int32Array.from(rows, (row) => this.labels?.[row] ?? -1);
    const known = labels === null || countLabels(labels) === 0 ? null : labels;
    const inFile = rows.map((row) => this.numberOf(row));
    return new Dataset(this.arrays, known, this.held, inFile);
  }

  /** What number a sample has in the file, for messages. */
  numberOf(sample: number): number {
    return this.rows?.[sample] ?? sample;
  }

  /**
   * Samples [begin, end).
   * @throws {InputError} when one of them has a NaN or infinity
   */
  async batch(begin: number, end: number): Promise<Samples> {
    const ranges = this.rows === null ? [[begin, end] as const] : runsOf(this.rows.subarray(begin, end));
    const found = new Map<string, Tensor>();
    for (const [input, array] of this.arrays)
      found.set(input, concatenate(await Promise.all(ranges.map(([from, to]) => this.read(array, from, to)))));
    return found;
  }

  /** Samples [begin, end) of the file. */
  private async read(array: Rows, begin: number, end: number): Promise<Tensor> {
    const data = await named(this.what, () => array.read(begin, end));
    if (data instanceof Float32Array) {
      const at = firstNotFinite(data);
      if (at !== null) {
        const { name, storedType, rowLength } = array;
        const sample = String(begin + Math.floor(at / rowLength));
        const beyond = storedType === 'float64' ? ', or a value beyond the range of float32,' : '';
        const detail = `${this.what}: ${name} has a NaN or infinity${beyond} in sample ${sample}, element ${String(at % rowLength)}`;
        throw new InputError('invalid_dataset', detail, {
          faults: [{ pointer: `#${this.what}/${name}/${sample}`, detail }],
        });
      }
    }
    return { dims: [end - begin, ...array.shape.slice(1)], data };
  }

  /**
   * Reads the whole file once, also what a subset leaves out: finds values that are not finite, and truncated files.
   * Returns whether all values of every array are the same.
   */
  async verify(signal?: AbortSignal): Promise<{ constant: boolean }> {
    let constant = true;
    for (const array of this.arrays.values()) {
      const rows = Math.max(1, Math.floor(PASS_BYTES / (4 * array.rowLength)));
      let first: number | bigint | undefined;
      for (let begin = 0; begin < this.all; begin += rows) {
        signal?.throwIfAborted();
        const { data } = await this.read(array, begin, Math.min(begin + rows, this.all));
        first ??= data[0];
        constant &&= (data as Float32Array).every((value) => value === first);
      }
    }
    return { constant };
  }

  async close(): Promise<void> {
    await discard(this.held);
  }
}

/** Ascending numbers as ranges [begin, end). */
function runsOf(rows: Uint32Array): [number, number][] {
  const runs: [number, number][] = [];
  for (const row of rows) {
    const last = runs.at(-1);
    if (last?.[1] === row) last[1] = row + 1;
    else runs.push([row, row + 1]);
  }
  return runs;
}

/**
 * Opens the samples of an .npz file; to be closed.
 * @throws {InputError} 'invalid_dataset', 'invalid_archive' or 'limit_exceeded'
 */
export async function openDataset(path: string, options: DatasetOptions): Promise<Dataset> {
  return named(options.what ?? 'dataset', () => Dataset.open(path, options));
}

/** Input errors of `work`, told about the file that the client knows as `what`. */
async function named<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const faults = error.faults.map(({ pointer, detail }) => ({
      pointer: pointer.replace(/^#(dataset|archive)\/?/, `#${what}/`).replace(/\/$/, ''),
      detail,
    }));
    throw new InputError(error.code, `${what}: ${error.message}`, { faults, cause: error });
  }
}

async function discard({ files, scratch }: Held): Promise<void> {
  for (const file of files.splice(0)) await file.close();
  for (const path of scratch.splice(0)) await rm(path, { force: true });
}
