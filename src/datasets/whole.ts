import type { InputError } from '../errors/index.js';
import { badDataset, type NpyArray, type Rows } from './npy.js';
import type { InputShape } from './options.js';
import type { TensorData } from './tensor.js';

/*
 * Inputs without an axis for samples: the state of a recurrent layer, a sampling rate, anything that has its batch
 * elsewhere. A sample has the whole of such an input, or all samples have the same.
 */

/** How the client may give such an input, for messages. */
export function formsOf(shape: InputShape): string {
  const axes = shape.map((size) => (typeof size === 'number' && size > 0 ? String(size) : nameOf(size)));
  return `the input has no axis for samples: an array [${['samples', ...axes].join(', ')}] has it for each sample, [${axes.join(', ')}] for all`;
}

/** The one axis for a batch has a sample at a time. */
const nameOf = (size: number | string): string =>
  typeof size === 'string' && size !== '' ? (isBatchName(size) ? '1' : size) : 'any';

/** How exporters call the axis of the samples. */
const BATCH_NAME = /^(n|b|bs|batch(_?size)?)$/i;
export const isBatchName = (size: number | string): boolean => typeof size === 'string' && BATCH_NAME.test(size);

/** Whether the array is one such input, the same for all samples; not where each sample has a row of it. */
export function isForAll({ shape }: NpyArray, whole: InputShape): boolean {
  if (shape.length === whole.length + 1) return shape[0] === 1;
  return shape.length === whole.length && (whole[0] !== 1 || shape[0] === 1);
}

export const noSamples = ({ name }: NpyArray, whole: InputShape): InputError =>
  badDataset(`${name} is the same for all samples, and nothing else differs: ${formsOf(whole)}`, name);

/** The array of one input for all of them. */
export async function repeated(
  array: NpyArray,
  { shape: whole, samples }: { shape: InputShape; samples: number },
): Promise<Rows> {
  const { name, type, storedType } = array;
  const own = array.shape.slice(array.shape.length - whole.length);
  if (whole.some((size, i) => typeof size === 'number' && size > 0 && size !== own[i]))
    throw badDataset(`${name} has the shape [${array.shape.join(', ')}]: ${formsOf(whole)}`, name);
  const along = own.findIndex((size, i) => i > 0 && size > 1 && size === samples && mayBeBatch(whole[i]));
  if (along > 0) throw badDataset(`${name} has its samples along axis ${String(along)}: ${formsOf(whole)}`, name);
  const data = await array.read(0, array.shape[0] ?? 1);
  const shape = [samples, ...(whole[0] === 1 ? own.slice(1) : own)];
  const read = (begin: number, end: number): Promise<TensorData> => {
    const Data = data.constructor as new (length: number) => TensorData;
    const tiled = new Data((end - begin) * data.length);
    for (let at = 0; at < tiled.length; at += data.length) (tiled as Float32Array).set(data as Float32Array, at);
    return Promise.resolve(tiled);
  };
  return { name, type, storedType, shape, rowLength: data.length, read };
}

const mayBeBatch = (size: number | string | undefined): boolean =>
  size === undefined || size === '' || isBatchName(size) || (typeof size === 'number' && size <= 0);

/** An array that has such an input for each sample. An axis of 1 in front of the input's others is that of the samples. */
export function rowsOfWhole(array: NpyArray, whole: InputShape): Rows {
  const { name, type, storedType, shape, rowLength } = array;
  const [samples = 0, one, ...rest] = shape;
  if (whole[0] !== 1 || shape.length === whole.length || one !== 1) return array;
  return { name, type, storedType, rowLength, shape: [samples, ...rest], read: (begin, end) => array.read(begin, end) };
}
