import { InputError } from '../errors/index.js';
import { badDataset, type NpyArray } from './npy.js';
import type { TensorData } from './tensor.js';

/** The label of a sample that counts for nothing, as in PyTorch's and scikit-learn's data. */
export const IGNORED = -1;

/**
 * The class of every sample: from one integer per sample (floats that are integers too), or from rows that are one-hot.
 * -1, and a row of zeros, is a sample without a class.
 *
 * @throws {InputError} invalid_dataset
 */
export async function readLabels(y: NpyArray, samples: number): Promise<Int32Array> {
  const width = y.rowLength;
  if (y.shape.length === 0 || y.shape.length > 2) throw notLabels(y);
  if (y.shape[0] !== samples)
    throw badDataset(`y has ${String(y.shape[0])} labels for ${String(samples)} samples`, 'y');
  const values = await y.read(0, samples);
  if (width > 1) return oneHot(y, values, width);
  return Int32Array.from({ length: samples }, (_, i) => {
    const label = Number(values[i]);
    if (!Number.isInteger(label)) throw notLabels(y, i, `it is ${String(label)}`);
    if (label < IGNORED || label > 2 ** 31 - 1) throw outOfRange(i, label, null);
    return label;
  });
}

function oneHot(y: NpyArray, values: TensorData, classes: number): Int32Array {
  return Int32Array.from({ length: values.length / classes }, (_, sample) => {
    let found = IGNORED;
    for (let c = 0; c < classes; c++) {
      const value = Number(values[sample * classes + c]);
      if (value === 0) continue;
      if (value !== 1) throw notLabels(y, sample, `it has the value ${String(value)} at class ${String(c)}`);
      if (found !== IGNORED) throw notLabels(y, sample, `it names the classes ${String(found)} and ${String(c)}`);
      found = c;
    }
    return found;
  });
}

function notLabels(y: NpyArray, sample?: number, found?: string): InputError {
  const wanted = 'y must be one class index per sample, or a one-hot row for each';
  if (sample === undefined) return badDataset(`${wanted}; it is ${y.storedType} of shape [${y.shape.join(', ')}]`, 'y');
  return badDataset(`${wanted}; of sample ${String(sample)} ${String(found)}`, `y/${String(sample)}`);
}

function outOfRange(sample: number, label: number, classes: number | null, what = 'dataset'): InputError {
  const range =
    classes === null
      ? 'labels are class indices from 0, or -1 for a sample without a class'
      : `the model has ${String(classes)} classes, 0 to ${String(classes - 1)}`;
  const detail = `label ${String(label)} of sample ${String(sample)} is out of range: ${range}`;
  return new InputError('invalid_dataset', detail, { faults: [{ pointer: `#${what}/y/${String(sample)}`, detail }] });
}

/** @throws {InputError} when a label is not one of the model's classes, or no sample has one */
export function checkLabels(labels: Int32Array, classes: number, what = 'evaluation'): void {
  const at = labels.findIndex((label) => label < IGNORED || label >= classes);
  if (at >= 0) throw outOfRange(at, labels[at], classes, what);
  if (countLabels(labels) === 0) {
    const detail = 'no sample has a class: leave y out to measure without labels';
    throw new InputError('invalid_dataset', `${what}: ${detail}`, { faults: [{ pointer: `#${what}/y`, detail }] });
  }
}

/** Samples that have a class. */
export const countLabels = (labels: Int32Array): number =>
  labels.reduce((n, label) => n + (label === IGNORED ? 0 : 1), 0);
