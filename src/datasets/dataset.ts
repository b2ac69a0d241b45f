import { randomUUID } from 'node:crypto';
import { open, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../errors/index.js';
import { Archive, isZip } from './archive.js';
import { countLabels, readLabels } from './labels.js';
import { NpyArray, badDataset } from './npy.js';
import { otherFormat, otherZip } from './other-formats.js';
import type { Tensor } from './tensor.js';

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
  /** What the client calls the file: the root of the pointers in errors. */
  what?: string;
  signal?: AbortSignal;
}

/** Rows that one pass over the whole set reads at a time are chosen to take about this much. */
const PASS_BYTES = 16 * 2 ** 20;

/** The samples of an .npz file. Stored arrays are read in place, compressed ones from a scratch file: memory stays at what is asked for. */
export class Dataset {
  private constructor(
    private readonly x: NpyArray,
    /** Class indices, one per sample. */
    readonly labels: Int32Array | null,
    private readonly held: { files: FileHandle[]; scratch: string[]; what: string },
    /** Numbers in the file of the samples that this is, ascending; null for all. */
    private readonly rows: Uint32Array | null = null,
  ) {}

  static async open(path: string, options: DatasetOptions): Promise<Dataset> {
    const what = options.what ?? 'dataset';
    if ((await stat(path)).size === 0) throw badDataset('the dataset file is empty', '');
    const files: FileHandle[] = [];
    const scratch: string[] = [];
    if (await isNpy(path)) return Dataset.ofArray(path, options, files, scratch);
    if (!(await isZip(path)))
      throw badDataset((await otherFormat(path, 'samples')) ?? 'not an .npz file: save it with numpy.savez', '');
    const archive = await Archive.open(path, {
      maxArchiveEntries: options.limits.maxArchiveEntries,
      maxArchiveRatio: options.limits.maxArchiveRatio,
      maxBytes: options.limits.maxModelBytes,
    });
    try {
      const array = async (name: string): Promise<NpyArray | null> => {
        if (!archive.entries.has(`${name}.npy`)) return null;
        const { file, offset, bytes } = await openEntry(archive, path, {
          name: `${name}.npy`,
          options,
          files,
          scratch,
        });
        return NpyArray.open(file, offset, bytes, name);
      };
      const x = await array(samplesIn(archive.entries.keys()));
      if (x === null) {
        const other = otherZip(archive.entries.keys(), 'samples');
        if (other !== null) throw badDataset(other, '');
        const found = [...archive.entries.keys()].slice(0, 10).join(', ');
        throw badDataset(`the dataset has no array x (it has: ${found === '' ? 'nothing' : found})`, 'x');
      }
      checkSize(x, options.limits);
      await readyRows(x, options, files, scratch);
      const y = await array('y');
      if (y !== null) await readyRows(y, options, files, scratch);
      const labels = y === null ? null : await readLabels(y, x.shape[0] ?? 0);
      return new Dataset(x, labels, { files, scratch, what });
    } catch (error) {
      await discard(files, scratch);
      throw error;
    } finally {
      archive.close();
    }
  }

  /** The samples of a plain .npy file. */
  private static async ofArray(
    path: string,
    options: DatasetOptions,
    files: FileHandle[],
    scratch: string[],
  ): Promise<Dataset> {
    try {
      const file = await open(path, 'r');
      files.push(file);
      const x = await NpyArray.open(file, 0, (await file.stat()).size, 'x');
      checkSize(x, options.limits);
      await readyRows(x, options, files, scratch);
      return new Dataset(x, null, { files, scratch, what: options.what ?? 'dataset' });
    } catch (error) {
      await discard(files, scratch);
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
    return this.x.shape[0] ?? 0;
  }

  /**
   * The samples with these numbers as a dataset of its own, on the same file: closing either closes both.
   * @param rows ascending
   */
  subset(rows: Uint32Array): Dataset {
    const labels = this.labels === null ? null : Int32Array.from(rows, (row) => this.labels?.[row] ?? -1);
    const known = labels === null || countLabels(labels) === 0 ? null : labels;
    const inFile = rows.map((row) => this.numberOf(row));
    return new Dataset(this.x, known, this.held, inFile);
  }

  /** What number a sample has in the file, for messages. */
  numberOf(sample: number): number {
    return this.rows?.[sample] ?? sample;
  }

  /** Shape of one sample. */
  get shape(): readonly number[] {
    return this.x.shape.slice(1);
  }

  /** Element type of the data that `batch` returns, in ONNX Runtime's names. */
  get type(): string {
    return this.x.type;
  }

  /** Element type in the file, as NumPy calls it. */
  get storedType(): string {
    return this.x.storedType;
  }

  /**
   * Samples [begin, end).
   * @throws {InputError} when one of them has a NaN or infinity
   */
  async batch(begin: number, end: number): Promise<Tensor> {
    if (this.rows === null) return this.read(begin, end);
    const runs = await Promise.all(runsOf(this.rows.subarray(begin, end)).map(([from, to]) => this.read(from, to)));
    return runs.length === 1 && runs[0] !== undefined ? runs[0] : joined(runs, this.x.shape);
  }

  /** Samples [begin, end) of the file. */
  private async read(begin: number, end: number): Promise<Tensor> {
    const data = await named(this.what, () => this.x.read(begin, end));
    if (data instanceof Float32Array) {
      const at = data.findIndex((v) => !Number.isFinite(v));
      if (at >= 0) {
        const sample = begin + Math.floor(at / this.x.rowLength);
        const beyond = this.x.storedType === 'float64' ? ', or a value beyond the range of float32,' : '';
        const detail = `${this.what}: x has a NaN or infinity${beyond} in sample ${String(sample)}, element ${String(at % this.x.rowLength)}`;
        throw new InputError('invalid_dataset', detail, {
          faults: [{ pointer: `#${this.what}/x/${String(sample)}`, detail }],
        });
      }
    }
    return { dims: [end - begin, ...this.x.shape.slice(1)], data };
  }

  /** Reads the whole file once, also what a subset leaves out: finds values that are not finite, and truncated files. Returns whether all values are the same. */
  async verify(signal?: AbortSignal): Promise<{ constant: boolean }> {
    const rows = Math.max(1, Math.floor(PASS_BYTES / (4 * this.x.rowLength)));
    let constant = true;
    let first: number | bigint | undefined;
    for (let begin = 0; begin < this.all; begin += rows) {
      signal?.throwIfAborted();
      const { data } = await this.read(begin, Math.min(begin + rows, this.all));
      first ??= data[0];
      constant &&= (data as Float32Array).every((value) => value === first);
    }
    return { constant };
  }

  async close(): Promise<void> {
    await discard(this.held.files, this.held.scratch);
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

function joined(parts: readonly Tensor[], shape: readonly number[]): Tensor {
  const [first] = parts;
  if (first === undefined) throw new RangeError('no samples to read');
  const Data = first.data.constructor as new (length: number) => Tensor['data'];
  const data = new Data(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    (data as Float32Array).set(part.data as Float32Array, at);
    at += part.data.length;
  }
  return { dims: [parts.reduce((sum, { dims }) => sum + (dims[0] ?? 0), 0), ...shape.slice(1)], data };
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

async function discard(files: FileHandle[], scratch: string[]): Promise<void> {
  for (const file of files.splice(0)) await file.close();
  for (const path of scratch.splice(0)) await rm(path, { force: true });
}

async function openEntry(
  archive: Archive,
  path: string,
  { name, options, files, scratch }: { name: string; options: DatasetOptions; files: FileHandle[]; scratch: string[] },
): Promise<{ file: FileHandle; offset: number; bytes: number }> {
  const stored = await archive.locate(name);
  if (stored !== null) {
    const file = await open(path, 'r');
    files.push(file);
    return { file, ...stored };
  }
  const unpacked = join(options.directory, `${randomUUID()}.npy`);
  scratch.push(unpacked);
  await archive.extract(name, unpacked, options.signal);
  const file = await open(unpacked, 'r');
  files.push(file);
  return { file, offset: 0, bytes: (await file.stat()).size };
}

/** The array that holds the samples: x, or the only one besides y, whatever its name (numpy.savez calls it arr_0). */
function samplesIn(entries: Iterable<string>): string {
  const names = [...entries].filter((name) => name.endsWith('.npy')).map((name) => name.slice(0, -'.npy'.length));
  if (names.includes('x')) return 'x';
  const [only, ...more] = names.filter((name) => name !== 'y');
  return only === undefined || more.length > 0 ? 'x' : only;
}

async function isNpy(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const head = Buffer.alloc(6);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return bytesRead === head.length && head.toString('latin1') === '\x93NUMPY';
  } finally {
    await file.close();
  }
}

async function readyRows(
  array: NpyArray,
  options: DatasetOptions,
  files: FileHandle[],
  scratch: string[],
): Promise<void> {
  if (!array.isFortran) return;
  const { file, path } = await array.turn(options.directory, options.signal);
  files.push(file);
  scratch.push(path);
}

function checkSize({ shape }: NpyArray, limits: DatasetLimits): void {
  if (shape.length < 2)
    throw badDataset(`x has the shape [${shape.join(', ')}]: samples come first, then at least one axis`, 'x');
  if (shape.includes(0)) throw badDataset(`x has no data (shape [${shape.join(', ')}])`, 'x');
  if ((shape[0] ?? 0) > limits.maxSamples) {
    const detail = `x has ${String(shape[0])} samples; MAX_CALIBRATION_SAMPLES is ${String(limits.maxSamples)}`;
    throw new InputError('limit_exceeded', detail, { faults: [{ pointer: '#dataset/x', detail }] });
  }
}
