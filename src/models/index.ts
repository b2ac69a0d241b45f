export type { Activation } from './activation.js';
export {
  DENSE,
  factoredCost,
  isDense,
  LOW_RANK_SHAPES,
  shapesOf,
  type Factors,
  type Layer,
  type LayerCost,
  type LayerOp,
  type LayerSize,
  type LowRank,
  type LowRankShape,
} from './layer.js';
export { denseWeights, listLayers, type ListedLayers } from './layers.js';
export { holdsClasses } from './onnx/classes.js';
export { codeWeights, inputsOfLayers, type CodingOptions, type WeightCoding } from './onnx/coded-weights.js';
export { transpose, type DenseWeights } from './onnx/dense-weights.js';
export { channelFlows, type ChannelFlow, type ChannelFlows } from './onnx/channel-flow.js';
export { spillWeights } from './onnx/external-data.js';
export { integerLayers, integerTensors, toIntegers, type IntegerOptions } from './onnx/integers/apply.js';
export { countIntegerLayers, integerEnds, type Ends } from './onnx/integers/ends.js';
export { rectifyFirst } from './onnx/integers/rectifiers.js';
export { INTEGER_OPSET, raiseOpset } from './onnx/raise-opset.js';
export { Histogram } from './coding/histogram.js';
export type { Range } from './coding/affine.js';
export type { Int8Weights } from './coding/int8.js';
export { extract, stillNeeded, type Extracted } from './onnx/extract.js';
export { behindLinearMap, type BehindMap } from './onnx/linear-map.js';
export { loadModel, type LoadOptions, type ModelLimits } from './onnx/load.js';
export type { OnnxModel } from './onnx/model.js';
export { GraphIndex } from './onnx/graph-index.js';
export { outputParts, partsOf, type Parts } from './onnx/output-parts.js';
export { prepare } from './onnx/prepare.js';
export { rewrite, type Replacement } from './onnx/rewrite.js';
export { saveModel, saveSingle } from './onnx/save.js';
export { outputSize, sampleOutputs, samplePatches, type ChosenPositions } from './patches.js';
export { newWeights, TrainableNetwork, type Pull } from './trainable.js';
export { Runner, type Port, type RunnerOptions } from './runner.js';
export {
  blocksOf,
  groupsOf,
  groupsTotal,
  KEPT_OF,
  SPARSE_PATTERNS,
  storesZeros,
  ZEROS_NOTE,
  type SparsePart,
  type SparsePattern,
} from './sparse.js';
export type { FloatTensor, Tensor, TensorData } from '../datasets/tensor.js';
