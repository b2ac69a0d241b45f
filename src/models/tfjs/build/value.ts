import { permuted } from '../../ir/permute.js';
import type { StoredTensor } from '../io/weights.js';

/**
 * A tensor of the network that is read, as the client's format sees it. What holds it may have its axes in another order: layouts are
 * changed as late as possible, so that a convolutional network stays in the order of the runtime (channels first) from its first
 * convolution to its last.
 */
export interface Value {
  /** Of the tensor that holds it; '' for a constant that nothing has read as a tensor. */
  tensor: string;
  /** Axis i of the tensor holds axis order[i] of the value; null: as they are. */
  order: readonly number[] | null;
  /** null: not known. */
  rank: number | null;
  /** Integers of 32 bits are kept with 64: shapes of this form go into operators as they are. */
  type: 'float32' | 'int64' | 'bool';
  constant: StoredTensor | null;
}

export const isIdentity = (order: readonly number[]): boolean => order.every((axis, i) => axis === i);

export const normalAxis = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** The order in which `axis` is the second one, where the runtime has the channels. */
export const axisSecond = (rank: number, axis = rank - 1): number[] => [
  0,
  axis,
  ...Array.from({ length: rank }, (_, i) => i).filter((i) => i !== 0 && i !== axis),
];

/** A copy with its axes in another order. */
export function permute({ dims, type, data }: StoredTensor, order: readonly number[]): StoredTensor {
  return { ...permuted(data, dims, order), type };
}
