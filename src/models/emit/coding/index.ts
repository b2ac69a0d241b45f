import type { TensorCoding } from '../../coding/weight-codings.js';
import type { TensorCoder } from './coder.js';
import { float16 } from './float16.js';
import { int8 } from './int8.js';
import { uint8 } from './uint8.js';

/** How the weights of a layer are written; null: in tables that layers share. */
export const TENSOR_CODERS: Readonly<Record<TensorCoding, TensorCoder | null>> = {
  ...{ float16, int8, uint8 },
  codebook: null,
};
