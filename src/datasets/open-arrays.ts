import { randomUUID } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../errors/index.js';
import { Archive, isZip } from './archive.js';
import { readLabels } from './labels.js';
import { NpyArray, badDataset, type Rows } from './npy.js';
import type { DatasetLimits, DatasetOptions, InputShape } from './options.js';
import { formsOf, isForAll, noSamples, repeated, rowsOfWhole } from './whole.js';
import { otherFormat, otherZip } from './other-formats.js';

/** What is open, to be closed and removed. */
export interface Held {
  files: FileHandle[];
  scratch: string[];
}

interface Arrays {
  /** By the name of the input. */
  arrays: ReadonlyMap<string, Rows>;
  labels: Int32Array | null;
}

const ALONE = 'x';
const LABELS = 'y';

/** Opens the array of every input, and the labels. @param held gets what is opened */
export async function openArrays(path: string, options: DatasetOptions, held: Held): Promise<Arrays> {
  const inputs = options.inputs ?? [ALONE];
  if (await isNpy(path)) return single(path, inputs, options, held);
  if (!(await isZip(path)))
    throw badDataset((await otherFormat(path, 'samples')) ?? 'not an .npz file: save it with numpy.savez', '');
  const { limits } = options;
  const archive = await Archive.open(path, {
    maxArchiveEntries: limits.maxArchiveEntries,
    maxArchiveRatio: limits.maxArchiveRatio,
    maxBytes: limits.maxModelBytes,
  });
  try {
    const names = [...archive.entries.keys()].filter(isArray).map((entry) => entry.slice(0, -NPY.length));
    const opened = async (name: string): Promise<NpyArray> => {
      const entry = await openEntry(archive, path, { name: name + NPY, options, held });
      return NpyArray.open(entry.file, entry.offset, entry.bytes, name);
    };
    const found = new Map<string, NpyArray>();
    for (const [input, name] of namesFor(inputs, names)) {
      if (name === null) throw lacking(input, inputs, archive);
      const array = await opened(name);
      checkShape(array, inputs.length, options.whole?.get(input), limits);
      await readyRows(array, options, held);
      found.set(input, array);
    }
    const { arrays, samples } = await asSamples(found, options.whole);
    // An input of that name is what the array is for.
    if (!names.includes(LABELS) || arrays.has(LABELS)) return { arrays, labels: null };
    const y = await opened(LABELS);
    await readyRows(y, options, held);
    return { arrays, labels: await readLabels(y, samples) };
  } finally {
    archive.close();
  }
}

const NPY = '.npy';
const isArray = (entry: string): boolean => entry.endsWith(NPY);

/** The samples of a plain .npy file. */
async function single(path: string, inputs: readonly string[], options: DatasetOptions, held: Held): Promise<Arrays> {
  const [input = ALONE] = inputs;
  if (inputs.length > 1) {
    const detail = `the model has the inputs ${inputs.join(', ')}: save an array for each with numpy.savez; this is one array (.npy)`;
    throw badDataset(detail, '');
  }
  const file = await open(path, 'r');
  held.files.push(file);
  const array = await NpyArray.open(file, 0, (await file.stat()).size, ALONE);
  checkShape(array, 1, options.whole?.get(input), options.limits);
  await readyRows(array, options, held);
  return { arrays: (await asSamples(new Map([[input, array]]), options.whole)).arrays, labels: null };
}

/**
 * Which array is for which input: the one of its name. That of the only input may also be called x, or anything if it
 * is the only one besides the labels; arrays saved without names (arr_0, arr_1) are for the inputs in the model's
 * order.
 */
function namesFor(inputs: readonly string[], names: readonly string[]): [input: string, name: string | null][] {
  const [only] = inputs;
  if (inputs.length === 1 && only !== undefined) {
    const rest = names.filter((name) => name !== LABELS);
    const alone = rest.length === 1 ? (rest[0] ?? null) : null;
    return [[only, [only, ALONE].find((name) => names.includes(name)) ?? alone]];
  }
  const inOrder = inputs.every((input, i) => !names.includes(input) && names.includes(`arr_${String(i)}`));
  return inputs.map((input, i) => [input, inOrder ? `arr_${String(i)}` : names.includes(input) ? input : null]);
}

function lacking(input: string, inputs: readonly string[], archive: Archive): InputError {
  const entries = [...archive.entries.keys()];
  const other = otherZip(entries, 'samples');
  if (other !== null) return badDataset(other, '');
  const found = entries.slice(0, 10).join(', ');
  const has = `(it has: ${found === '' ? 'nothing' : found})`;
  if (inputs.length === 1) return badDataset(`the dataset has no array ${ALONE} ${has}`, ALONE);
  return badDataset(`the model has the inputs ${inputs.join(', ')}; the dataset has no array ${input} ${has}`, input);
}

/** The arrays with samples first, as many in each. */
async function asSamples(
  found: ReadonlyMap<string, NpyArray>,
  whole: DatasetOptions['whole'],
): Promise<{ arrays: Map<string, Rows>; samples: number }> {
  const forAll = (input: string, array: NpyArray): boolean => {
    const shape = whole?.get(input);
    return shape !== undefined && isForAll(array, shape);
  };
  const samples = countAll([...found].flatMap(([input, array]) => (forAll(input, array) ? [] : [array])));
  const arrays = new Map<string, Rows>();
  for (const [input, array] of found) {
    const shape = whole?.get(input);
    if (shape === undefined) arrays.set(input, array);
    else if (samples === null) throw noSamples(array, shape);
    else
      arrays.set(input, isForAll(array, shape) ? await repeated(array, { shape, samples }) : rowsOfWhole(array, shape));
  }
  return { arrays, samples: samples ?? 0 };
}

/** The samples that all arrays have; null without arrays. */
function countAll(arrays: readonly NpyArray[]): number | null {
  const [first, ...others] = arrays;
  if (first === undefined) return null;
  const count = first.shape[0] ?? 0;
  for (const { name, shape } of others)
    if (shape[0] !== count)
      throw badDataset(
        `${name} has ${String(shape[0])} samples, but ${first.name} has ${String(count)}: each input needs an array with all samples`,
        name,
      );
  return count;
}

async function openEntry(
  archive: Archive,
  path: string,
  { name, options, held }: { name: string; options: DatasetOptions; held: Held },
): Promise<{ file: FileHandle; offset: number; bytes: number }> {
  const stored = await archive.locate(name);
  if (stored !== null) {
    const file = await open(path, 'r');
    held.files.push(file);
    return { file, ...stored };
  }
  const unpacked = join(options.directory, `${randomUUID()}.npy`);
  held.scratch.push(unpacked);
  await archive.extract(name, unpacked, options.signal);
  const file = await open(unpacked, 'r');
  held.files.push(file);
  return { file, offset: 0, bytes: (await file.stat()).size };
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

async function readyRows(array: NpyArray, options: DatasetOptions, held: Held): Promise<void> {
  if (!array.isFortran) return;
  const { file, path } = await array.turn(options.directory, options.signal);
  held.files.push(file);
  held.scratch.push(path);
}

/** One number per sample may be one of several inputs; alone it is more likely one sample. */
function checkShape(
  { name, shape }: NpyArray,
  inputs: number,
  whole: InputShape | undefined,
  limits: DatasetLimits,
): void {
  if (shape.length < (whole !== undefined ? whole.length : inputs > 1 ? 1 : 2))
    throw badDataset(`${name} has the shape [${shape.join(', ')}]: ${wantedAxes(whole)}`, name);
  if (shape.includes(0)) throw badDataset(`${name} has no data (shape [${shape.join(', ')}])`, name);
  if (whole?.length !== shape.length && (shape[0] ?? 0) > limits.maxSamples) {
    const detail = `${name} has ${String(shape[0])} samples; MAX_CALIBRATION_SAMPLES is ${String(limits.maxSamples)}`;
    throw new InputError('limit_exceeded', detail, { faults: [{ pointer: `#dataset/${name}`, detail }] });
  }
}

const wantedAxes = (whole: InputShape | undefined): string =>
  whole === undefined ? 'samples come first, then at least one axis' : formsOf(whole);
