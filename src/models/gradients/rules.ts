import type { NodeProto } from '../ir/messages.js';
import { operatorOf } from '../ir/operator.js';
import { convolution, transposedConvolution } from './convolution.js';
import { ARITHMETIC, FUNCTIONS } from './elementwise.js';
import {
  concat,
  depthToSpace,
  expand,
  gather,
  logSoftmax,
  pad,
  sameValues,
  slice,
  softmax,
  spaceToDepth,
  tile,
  transposed,
  where,
} from './layout.js';
import { averagePool, globalAveragePool, globalMaxPool, maxPool, reduceMean, reduceSum } from './pooling.js';
import { batchNormalization, groupNormalization, instanceNormalization, layerNormalization } from './normalization.js';
import { gemm, matMul } from './product.js';
import { resize } from './resize.js';
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
    DepthToSpace: depthToSpace,
    Dropout: sameValues,
    Expand: expand,
    Flatten: sameValues,
    Gather: gather,
    Gemm: gemm,
    GlobalAveragePool: globalAveragePool,
    GlobalMaxPool: globalMaxPool,
    GroupNormalization: groupNormalization,
    Identity: sameValues,
    InstanceNormalization: instanceNormalization,
    LayerNormalization: layerNormalization,
    LogSoftmax: logSoftmax,
    MatMul: matMul,
    MaxPool: maxPool,
    Pad: pad,
    ReduceMean: reduceMean,
    ReduceSum: reduceSum,
    Reshape: sameValues,
    Resize: resize,
    Slice: slice,
    Softmax: softmax,
    SpaceToDepth: spaceToDepth,
    Squeeze: sameValues,
    Tile: tile,
    Transpose: transposed,
    Unsqueeze: sameValues,
    Upsample: resize,
    Where: where,
  }),
);

/** How a gradient passes a node; null where it stops. */
export const ruleOf = (node: NodeProto): Rule | null => RULES.get(operatorOf(node)) ?? null;
