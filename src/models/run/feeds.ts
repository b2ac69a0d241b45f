import { InputError, type Fault } from '../../errors/index.js';
import type { Column } from '../../datasets/dataset.js';
import type { InputShape } from '../../datasets/options.js';
import type { Samples } from '../../datasets/samples.js';
import type { Tensor } from '../../datasets/tensor.js';
import { formsOf, isBatchName } from '../../datasets/whole.js';
import { int64ToNumber, type Dimension } from '../ir/messages.js';
import { realInputs, type Model } from '../ir/model.js';
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

/** Inputs of a network as its file has them. */
export const portsOf = (model: Pick<Model, 'graph'>): Pick<Port, 'name' | 'shape'>[] =>
  realInputs(model.graph).flatMap(({ name, type }) => {
    const dims = type?.tensorType?.shape?.dim;
    return dims === undefined ? [] : [{ name, shape: dims.map((dim) => sizeOf(dim)) }];
  });

function sizeOf({ dimValue, dimParam }: Dimension): number | string {
  const size = int64ToNumber(dimValue);
  return size > 0 ? size : (dimParam ?? '');
}

/**
 * Inputs that have no axis for samples, and what there is instead: single numbers, the state of a recurrent layer, what
 * has its batch along another axis. A network with such inputs is run on one sample at a time.
 */
export function wholeInputs(inputs: readonly Pick<Port, 'name' | 'shape'>[]): Map<string, InputShape> {
  const rows = inputs.filter(({ shape }) => shape.length > 0 && !hasBatchInside(shape));
  const isOpen = rows.some(({ shape }) => fixedSize(shape) === null);
  const least = Math.min(...rows.map(({ shape }) => fixedSize(shape) ?? Infinity));
  const isWhole = ({ shape }: Pick<Port, 'shape'>): boolean => {
    if (shape.length === 0 || hasBatchInside(shape)) return true;
    const size = fixedSize(shape);
    return size !== null && (isOpen || (least === 1 && size > 1));
  };
  return new Map(inputs.flatMap((input) => (isWhole(input) ? [[input.name, input.shape]] : [])));
}

/** The size of the first axis, where that is fixed. */
const fixedSize = ([first]: InputShape): number | null => (typeof first === 'number' && first > 0 ? first : null);

const hasBatchInside = (shape: InputShape): boolean => shape.findIndex(isBatchName) > 0;

/** The batch size that the inputs are fixed to, or null. */
export function fixedBatchOf(inputs: readonly Port[]): number | null {
  if (wholeInputs(inputs).size > 0) return 1;
  for (const { shape } of inputs) {
    const size = fixedSize(shape);
    if (size !== null) return size;
  }
  return null;
}

/** The shape that a tensor of samples is fed in: an input without an axis for them takes it from one sample. */
export function fedDims(dims: number[], shape: InputShape | undefined): number[] {
  return shape !== undefined && dims.length === shape.length + 1 && dims[0] === 1 ? dims.slice(1) : dims;
}

/** Shapes in which samples are fed to a network, by input. */
export function fedShapes(model: Pick<Model, 'graph'>, samples: Samples): Map<string, number[]> {
  const shapes = new Map(portsOf(model).map(({ name, shape }) => [name, shape]));
  return new Map([...samples].map(([name, { dims }]) => [name, fedDims(dims, shapes.get(name))]));
}

/** @throws {InputError} when inputs have batches of different sizes */
export function checkPorts(inputs: readonly Port[]): void {
  const whole = wholeInputs(inputs);
  const [without] = inputs.filter(({ name }) => whole.has(name));
  const batch = fixedBatchOf(inputs);
  for (const { name, shape } of inputs) {
    const size = whole.has(name) ? null : fixedSize(shape);
    if (size === null || size === batch) continue;
    const shown = `${name} [${shape.join(', ')}]`;
    throw badModel(
      without === undefined
        ? `inputs with batches of ${String(batch)} and of ${String(size)} samples (${shown}): all need the same`
        : `input ${without.name} [${without.shape.join(', ')}] has no axis for samples in front, and ${shown} has batches of ${String(size)}: export the model with batches of one, or of any size`,
    );
  }
}

/** Checks that these samples can be fed to the network. @param what the client calls the file */
export function checkColumns(inputs: readonly Port[], columns: readonly Column[], what: string): void {
  const faults: Fault[] = [];
  const whole = wholeInputs(inputs);
  for (const { name, shape, type } of inputs) {
    const column = columns.find(({ input }) => input === name);
    if (column === undefined) throw new RangeError(`the samples were not opened for input ${name}`);
    // One of batches of one is a row for each sample.
    const wanted: InputShape = whole.has(name) && shape[0] !== 1 ? ['samples', ...shape] : ['batch', ...shape.slice(1)];
    const fits =
      column.shape.length === wanted.length &&
      wanted.every((d, i) => i === 0 || typeof d !== 'number' || d <= 0 || d === column.shape[i]);
    const shown = whole.has(name) ? `[${shape.join(', ')}]: ${formsOf(shape)}` : `[${wanted.join(', ')}]`;
    const is = fits
      ? canCast(column, type)
        ? null
        : `is ${column.storedType}, but the model's input ${name} is ${type}`
      : `has the shape [${column.shape.join(', ')}], but the model's input ${name} is ${shown}`;
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
