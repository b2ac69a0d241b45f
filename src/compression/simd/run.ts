import type { Kernel } from './kernel.js';
import { COLUMN_SUMS_AT, PAGES, RESULTS, RESULTS_AT, SLOT, SLOTS, slotAt } from './memory.js';
import { moduleOf } from './module.js';

// oxlint-disable-next-line max-params -- what WebAssembly exports takes numbers only
type Compiled = (bytes: number, a: number, b: number, c: number, d: number) => void;

const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
const slots = Array.from({ length: SLOTS }, (_, i) => new Float32Array(memory.buffer, slotAt(i), SLOT));
export const columnSums = new Float64Array(memory.buffer, COLUMN_SUMS_AT, SLOT);
const results = new Float64Array(memory.buffer, RESULTS_AT, 2 * RESULTS);

export function slot(index: number): Float32Array {
  const found = slots[index];
  if (found === undefined) throw new RangeError(`there is no slot ${index}`);
  return found;
}

/** Compiles kernels; null on a processor without the instructions they need. */
export function compiled<Name extends string>(kernels: Record<Name, Kernel>): Record<Name, Compiled> | null {
  const bytes = moduleOf(kernels);
  if (!WebAssembly.validate(bytes)) return null;
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { kernels: { memory } });
  return instance.exports as Record<Name, Compiled>;
}

export interface Arrays {
  /** Copied to slots 0, 1, ... */
  inputs: readonly Float32Array[];
  /** Copied from the slots after those of the inputs. May be one of the inputs. */
  outputs: readonly Float32Array[];
  scalars?: readonly number[];
  /** Floats per block. */
  block?: number;
  /** What the first input is filled up with. */
  padding?: number;
}

/**
 * Runs a kernel over arrays of one length. The last block is filled up to whole lanes: the first input with `padding`,
 * chosen so that what is added to sums there is zero, the others with zeros.
 */
export function run(kernel: Compiled, { inputs, outputs, scalars = [], block = SLOT, padding = 0 }: Arrays): void {
  const length = (inputs[0] ?? outputs[0])?.length ?? 0;
  for (const each of [...inputs, ...outputs]) {
    if (each.length !== length) throw new RangeError(`arrays of ${length} and of ${each.length} floats in one pass`);
  }
  const [a = 0, b = 0, c = 0, d = 0] = scalars;
  for (let begin = 0; begin < length; begin += block) {
    const count = Math.min(block, length - begin);
    const padded = (count + 3) & ~3;
    for (let i = 0; i < inputs.length; i++) {
      const to = slot(i);
      to.set(inputs[i].subarray(begin, begin + count));
      if (count < padded) to.fill(i === 0 ? padding : 0, count, padded);
    }
    kernel(4 * padded, a, b, c, d);
    for (let i = 0; i < outputs.length; i++) {
      outputs[i].set(slot(inputs.length + i).subarray(0, count), begin);
    }
  }
}

/** The sums of squares of a kernel over the whole arrays, in the order of its calls of `sumSquares`. */
export function runSums(kernel: Compiled, arrays: Arrays): number[] {
  results.fill(0);
  run(kernel, arrays);
  return Array.from({ length: RESULTS }, (_, i) => results[2 * i] + results[2 * i + 1]);
}
