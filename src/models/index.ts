export type { Activation } from './activation.js';
export { factoredCost, type LayerCost } from './cost.js';
export { DENSE, isDense, type Factors, type Layer, type LayerOp, type LayerSize, type LowRank } from './layer.js';
export { LOW_RANK_SHAPES, lowRankShapes, PLAIN_SHAPE, patchOf, shapesOf, type LowRankShape } from './low-rank/index.js';
export { denseWeights, listLayers, type ListedLayers } from './onnx/layers/find-layers.js';
export { holdsClasses } from './onnx/graph/classes.js';
export { codeWeights, inputsOfLayers, type CodingOptions, type WeightCoding } from './onnx/emit/coded-weights.js';
export { transpose, type DenseWeights } from './onnx/graph/dense-weights.js';
export { channelFlows, type ChannelFlow, type ChannelFlows } from './onnx/graph/channel-flow.js';
export { spillWeights } from './onnx/io/external-data.js';
export { integerLayers, integerTensors, toIntegers, type IntegerOptions } from './onnx/quantize/apply.js';
export { countIntegerLayers, integerEnds, type Ends } from './onnx/quantize/ends.js';
export { rectifyFirst } from './onnx/quantize/rectifiers.js';
export { raiseOpset } from './onnx/passes/raise-opset.js';
export { codingOf, type TensorCoding, type WeightCodingName } from './coding/weight-codings.js';
export { Histogram } from './coding/histogram.js';
export type { Range } from './coding/affine.js';
export type { Int8Weights } from './coding/int8.js';
export { extract, stillNeeded, type Extracted } from './onnx/graph/extract.js';
export { behindLinearMap, type BehindMap } from './onnx/graph/linear-map.js';
export { loadModel, type LoadOptions, type ModelLimits } from './onnx/io/load.js';
export type { OnnxModel } from './onnx/protobuf/model.js';
export { GraphIndex } from './onnx/graph/graph-index.js';
export { operatorOf } from './onnx/protobuf/operator.js';
export { beforeSelection } from './onnx/graph/selection.js';
export { outputParts, partsOf, type Parts } from './onnx/run/output-parts.js';
export { prepare } from './onnx/passes/prepare.js';
export { rewrite, type Replacement } from './onnx/emit/rewrite.js';
export { saveModel, saveSingle } from './onnx/io/save.js';
export { sampleOutputs, samplePatches, type ChosenPositions } from './patches.js';
export { newWeights, TrainableNetwork, type Pull } from './onnx/gradients/trainable.js';
export { Runner, type Port, type RunnerOptions } from './onnx/run/runner.js';
export {
  blocksOf,
  groupsOf,
  groupsTotal,
  PATTERN,
  PLAIN_PATTERN,
  SPARSE_PATTERNS,
  storesZeros,
  ZEROS_NOTE,
  type SparsePart,
  type SparsePattern,
} from './sparse/index.js';
export type { FloatTensor, Tensor, TensorData } from '../datasets/tensor.js';
