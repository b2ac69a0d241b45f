export type { Activation } from './activation.js';
export { costOfOutputs, factoredCost, narrowsInput, weightTensors, type LayerCost } from './cost.js';
export {
  DENSE,
  DROPPED,
  isAddedTo,
  isDense,
  usesOf,
  type Factors,
  type Layer,
  type LayerOp,
  type LayerSize,
  type LayerUse,
  type LowRank,
} from './layer.js';
export { LOW_RANK_SHAPES, lowRankShapes, PLAIN_SHAPE, patchOf, shapesOf, type LowRankShape } from './low-rank/index.js';
export { biasShifts, denseWeights, listLayers, type ListedLayers } from './layers/find-layers.js';
export { endsInSoftmax, holdsClasses } from './graph/classes.js';
export {
  codesOfWeights,
  codeWeights,
  inputsOfLayers,
  withCodes,
  type CodingOptions,
  type WeightCoding,
} from './emit/coded-weights.js';
export {
  codedBytes,
  CODING_NOISE,
  decoded,
  scaleOf,
  unscaled,
  WEIGHT_BITS,
  type WeightBits,
  type WeightCode,
} from './coding/weight-code.js';
export { transpose, type DenseWeights } from './graph/dense-weights.js';
export { channelFlows, type ChannelFlow, type ChannelFlows } from './graph/channel-flow.js';
export { spillWeights } from './ir/external-data.js';
export { weightBytes, weightTypeBytes } from './onnx/client-types.js';
export { integerLayers, integerTensors, toIntegers, type IntegerOptions } from './quantize/apply.js';
export { countIntegerLayers, integerEnds, type Ends } from './quantize/ends.js';
export { integerIslands, type Island } from './quantize/islands.js';
export { placeholderIntegers, readyForIntegers } from './quantize/ready.js';
export { raiseOpset } from './passes/raise-opset.js';
export {
  codingOf,
  NEAR_CODINGS,
  PLAIN_CODING,
  SMALL_CODING_ELSEWHERE,
  type TensorCoding,
  type WeightCodingName,
} from './coding/weight-codings.js';
export { nearestVectors } from './coding/kmeans.js';
export { rowOf } from './coding/layout.js';
export { weightedNodes, type WeightedNode } from './graph/weighted-nodes.js';
export { Histogram } from './coding/histogram.js';
export type { Range } from './coding/affine.js';
export type { Int8Weights } from './coding/int8.js';
export { extract, stillNeeded, type Extracted } from './graph/extract.js';
export { behindLinearMap, throughLinearMap, type BehindMap, type ThroughMap } from './graph/linear-map.js';
export { inFormat, loadModel, saveModel } from './files.js';
export { formatOf, type ModelFormatName } from './formats/index.js';
export type { LoadOptions, ModelLimits } from './format-files.js';
export { clientTypes, inputNames, type Model } from './ir/model.js';
export { GraphIndex } from './graph/graph-index.js';
export { operatorOf } from './ir/operator.js';
export { beforeSelection } from './graph/selection.js';
export { outputParts, partsOf, type Parts } from './run/output-parts.js';
export { layersInside, numbersInside } from './graph/layers-inside.js';
export { foldWeights } from './passes/fold-weights.js';
export { prepare } from './passes/prepare.js';
export { withoutDefaults } from './passes/default-attributes.js';
export { withShortNames } from './passes/short-names.js';
export { nameIn } from './emit/narrow.js';
export { layerOfTensors } from './emit/owners.js';
export type { Replacement } from './emit/replacement.js';
export { rewrite } from './emit/rewrite.js';
export { branchesOf, type Branch } from './graph/branches.js';
export { bypasses, withoutBranches, withoutBypasses } from './passes/drop-branches.js';
export { channelTies } from './graph/channel-ties.js';
export { saveSingle } from './onnx/save.js';
export { addedTo, placesOfUses, putRows, samplePatches, type ChosenPositions, type UsePlaces } from './patches.js';
export { matricesOf, Orthogonalizer, orthogonalWork, type MatrixSize } from './gradients/orthogonal.js';
export { newWeights, rootMeanSquare, TrainableNetwork, type Pull } from './gradients/trainable.js';
export { Runner, type RunnerOptions, type Running } from './run/runner.js';
export { TensorflowRunner } from './tfjs/runner.js';
export { portsOf, wholeInputs, type Given, type Port } from './run/feeds.js';
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
export type { Samples } from '../datasets/samples.js';
export type { FloatTensor, Tensor, TensorData } from '../datasets/tensor.js';
