import type { NodeProto } from '../ir/messages.js';
import { operatorOf } from '../ir/operator.js';
import { convolution, transposedConvolution } from './convolution.js';
import { ARITHMETIC, FUNCTIONS } from './elementwise.js';
import {
  batchNormalization,
  concat,
  expand,
  gather,
  pad,
  resize,
  sameValues,
  slice,
  softmax,
  transposed,
  where,
} from './layout.js';
import { averagePool, globalAveragePool, globalMaxPool, maxPool, reduceMean, reduceSum } from './pooling.js';
import { gemm, matMul } from './product.js';
import type { Rule } from './tape.js';

const RULES: ReadonlyMap<string, Rule> = new Map(
  Object.entries({
    ...ARITHMETIC,
    ...FUNCTIONS,
    AveragePool: averagePool,
    BatchNormalization: batchNormalization,
    Concat: concat,
    Conv: convolution,
    ConvTranspose: transposedConvolution,
    Dropout: sameValues,
    Expand: expand,
    Flatten: sameValues,
    Gather: gather,
    Gemm: gemm,
    GlobalAveragePool: globalAveragePool,
    GlobalMaxPool: globalMaxPool,
    Identity: sameValues,
    MatMul: matMul,
    MaxPool: maxPool,
    Pad: pad,
    ReduceMean: reduceMean,
    ReduceSum: reduceSum,
    Reshape: sameValues,
    Resize: resize,
    Slice: slice,
    Softmax: softmax,
    Squeeze: sameValues,
    Transpose: transposed,
    Unsqueeze: sameValues,
    Upsample: resize,
    Where: where,
  }),
);

/** How a gradient passes a node; null where it stops. */
export const ruleOf = (node: NodeProto): Rule | null => RULES.get(operatorOf(node)) ?? null;
