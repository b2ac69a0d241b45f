import { makeInt, makeNode } from '../../ir/attributes.js';
import type { Layout } from '../../coding/layout.js';
import type { NameSource } from '../../graph/graph-index.js';
import type { NodeProto, TensorProto } from '../../ir/messages.js';

/** One tensor of weights to code. */
export interface TensorToCode {
  /** The tensor's name; the result of the last node has it. */
  weight: string;
  dims: number[];
  values: Float32Array;
  layout: Layout & { rowAxis: number };
  names: NameSource;
  /** How much an error in each weight matters. */
  importance: () => Float32Array;
}

export interface CodedTensor {
  tensors: TensorProto[];
  nodes: NodeProto[];
}

/** Null where the tensor cannot be kept so. */
export type TensorCoder = (tensor: TensorToCode) => CodedTensor | null;

export const freshName = ({ names, weight }: TensorToCode, part: string): string => names.fresh(`${weight}_${part}`);

export const castNode = (tensor: TensorToCode, from: string, to: string, type: number): NodeProto =>
  makeNode('Cast', freshName(tensor, 'cast'), [from], [to], [makeInt('to', type)]);

/** A number for every row, to be multiplied with the weights. */
export const scaleDims = ({ dims, layout }: Pick<TensorToCode, 'dims' | 'layout'>): number[] =>
  dims.map((size, axis) => (axis === layout.rowAxis ? size : 1));

export const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
