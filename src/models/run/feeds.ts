import { InputError, type Fault } from '../../errors/index.js';
import type { Column } from '../../datasets/dataset.js';
import type { Samples } from '../../datasets/samples.js';
import type { Tensor } from '../../datasets/tensor.js';
import { badModel } from './runtime-error.js';

/** A named input or output; dimensions are numbers, or names where any size goes. */
export interface Port {
  name: string;
  type: string;
  shape: (number | string)[];
}

/** Samples for a network; of one input, its tensor is enough. */
export type Given = Samples | Tensor;

/** A tensor for every input. @param inputs names of the network's inputs */
export function samplesFor(inputs: readonly string[], given: Given): Samples {
  if (!('dims' in given)) return given;
  const [only] = inputs;
  if (only === undefined || inputs.length > 1)
    throw new RangeError(`one tensor for the inputs ${inputs.join(', ')} of the network`);
  return new Map([[only, given]]);
}

/** The batch size that the inputs are fixed to, or null. */
export function fixedBatchOf(inputs: readonly Port[]): number | null {
  const fixed = inputs.map(({ shape }) => shape[0]).find((size) => typeof size === 'number' && size > 0);
  return typeof fixed === 'number' ? fixed : null;
}

/** How exporters call the axis of the samples. */
const BATCH_NAME = /^(n|b|bs|batch(_?size)?)$/i;

/** @throws {InputError} when samples cannot be the first axis of every input */
export function checkPorts(inputs: readonly Port[]): void {
  const batch = fixedBatchOf(inputs);
  for (const { name, shape } of inputs) {
    const shown = `[${shape.join(', ')}]`;
    const [first] = shape;
    if (first === undefined)
      throw badModel(`input ${name} has no axis for samples: make it a constant of the model (an initializer)`);
    const at = shape.findIndex((size) => typeof size === 'string' && BATCH_NAME.test(size));
    if (at > 0)
      throw badModel(
        `input ${name} ${shown} has its samples along axis ${String(at)}: they have to be the first axis; put a Transpose before the network when you export it`,
      );
    if (typeof first === 'number' && first > 0 && first !== batch)
      throw badModel(
        `inputs with batches of ${String(batch)} and of ${String(first)} samples (${name} ${shown}): all need the same`,
      );
  }
}

/** Checks that these samples can be fed to the network. @param what the client calls the file */
export function checkColumns(inputs: readonly Port[], columns: readonly Column[], what: string): void {
  const faults: Fault[] = [];
  for (const { name, shape, type } of inputs) {
    const column = columns.find(({ input }) => input === name);
    if (column === undefined) throw new RangeError(`the samples were not opened for input ${name}`);
    const wanted = shape.map((d, i) => (i === 0 ? 'batch' : String(d))).join(', ');
    const fits =
      column.shape.length === shape.length &&
      shape.every((d, i) => i === 0 || typeof d !== 'number' || d <= 0 || d === column.shape[i]);
    const is = fits
      ? canCast(column, type)
        ? null
        : `is ${column.storedType}, but the model's input ${name} is ${type}`
      : `has the shape [${column.shape.join(', ')}], but the model's input ${name} is [${wanted}]`;
    if (is !== null) faults.push({ pointer: `#${what}/${column.array}`, detail: `${what}: ${column.array} ${is}` });
  }
  if (faults.length > 0)
    throw new InputError('invalid_dataset', faults.map(({ detail }) => detail).join('; '), { faults });
}

const INTEGERS = ['uint8', 'int8', 'uint16', 'int16', 'int32', 'uint32', 'int64', 'uint64'];

/** Integers go where integers are taken, as far as they are within the range; floats only to floats. */
function canCast({ type, storedType }: Pick<Column, 'type' | 'storedType'>, to: string): boolean {
  if (type === to) return true;
  if (to === 'bool') return storedType === 'bool';
  if (to.startsWith('float')) return type.startsWith('float') || INTEGERS.includes(type);
  return INTEGERS.includes(to) && INTEGERS.includes(type);
}
